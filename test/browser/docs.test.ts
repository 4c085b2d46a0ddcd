/** The documentation as a site, from a plain file server in a real Chromium: it is read, searched and followed. */
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startChromium } from '../../scripts/services.mjs'
import { root } from '../docs/markdown.ts'

const dist = join(root, 'docs/.vitepress/dist')
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

let server: Server
let site = ''
let browser: Browser
let page: Page
/** What the pages asked other hosts for, and what went wrong in them. */
let strangers: string[] = []
let wrong: string[] = []

beforeAll(async () => {
  // Up to date in a second where `npm run docs` has been.
  execFileSync(process.execPath, [join(root, 'docs/.vitepress/build.mjs')], { stdio: 'pipe' })
  server = createServer(async (request, response) => {
    const path = decodeURI(new URL(request.url ?? '/', 'http://site').pathname).replace(/\/$/, '/index.html')
    const bytes = await readFile(join(dist, path)).catch(() => undefined)
    response.writeHead(bytes === undefined ? 404 : 200, { 'Content-Type': types[extname(path)] ?? 'text/html' })
    response.end(bytes ?? (await readFile(join(dist, '404.html'))))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  browser = await startChromium()
}, 180_000)
beforeEach(async () => {
  strangers = []
  wrong = []
  page = await browser.newPage({ viewport: { width: 1280, height: 860 } })
  page.on('request', (request) => {
    if (!request.url().startsWith(site) && !request.url().startsWith('data:')) strangers.push(request.url())
  })
  page.on('response', (response) => {
    if (response.status() >= 400) wrong.push(`${response.status()} ${response.url()}`)
  })
  page.on('pageerror', (error) => wrong.push(error.message))
})
afterAll(async () => {
  await browser.close()
  server.close()
})

/** How much wider than the window the page is. */
function excess(): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
}

describe('the site', () => {
  test('begins with one screen, and asks nobody else for anything', async () => {
    await page.goto(site)
    expect(await page.locator('h1').textContent()).toContain('Oncekey')
    const table = await page.locator('.vp-doc table').boundingBox()
    expect((table?.y ?? 900) + (table?.height ?? 0)).toBeLessThan(860)
    expect([strangers, wrong]).toEqual([[], []])
  })
  test('finds what is searched for, and leads there', async () => {
    await page.goto(site)
    await page.locator('button.DocSearch-Button').click()
    await page.locator('input.search-input').fill('outcome_unknown')
    await page.locator('.results .result').first().waitFor()
    const found = await page.locator('.results .result').allTextContents()
    expect(found.join('\n')).toMatch(/Errors/)
    await page.locator('.results .result').filter({ hasText: 'Errors' }).first().click()
    await page.waitForURL(/reference\/errors\.html/)
    await page.locator('h1', { hasText: 'Errors' }).waitFor()
    expect([strangers, wrong]).toEqual([[], []])
  })
  test('follows a link to another page, to a heading, and to a file of the repository', async () => {
    await page.goto(`${site}guide/library.html`)
    await page.locator('.vp-doc a', { hasText: 'endings' }).first().click()
    await page.waitForURL(/reference\/endings\.html#in-the-library$/)
    await page.locator('#in-the-library').waitFor()
    await page.goto(`${site}guide/library.html`)
    await page.locator('.vp-doc a', { hasText: 'examples/library.mjs' }).click()
    await page.waitForURL(/generated\/repository\/examples\/library\.mjs\.html$/)
    await page.locator('h1', { hasText: 'examples/library.mjs' }).waitFor()
    expect(await page.locator('.vp-doc').textContent()).toContain(
      "import { createIdempotency, memoryStore } from 'oncekey'",
    )
    expect([strangers, wrong]).toEqual([[], []])
  })
  test('has the reference of every subpath, made from the code', async () => {
    await page.goto(`${site}generated/typedoc/oncekey/client.html`)
    expect(await page.locator('#idempotentfetch').textContent()).toContain('idempotentFetch()')
    expect(await page.locator('.vp-doc').textContent()).toContain('How often a call is asked again')
    expect(wrong).toEqual([])
  })
  test.each(['', 'tutorial.html', 'explanation/protocol.html', 'reference/flags.html', 'guide/queues.html'])(
    'fits into a phone and into the dark: /%s',
    async (path) => {
      await page.setViewportSize({ width: 390, height: 800 })
      await page.emulateMedia({ colorScheme: 'dark' })
      await page.goto(site + path)
      expect(await excess()).toBe(0)
      const [red = 255] =
        (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g) ?? []
      expect(Number(red)).toBeLessThan(64)
      expect(wrong).toEqual([])
    },
  )
  test('turns its drawing dark with the page', async () => {
    const filter = () => page.locator('.vp-doc img').evaluate((image) => getComputedStyle(image).filter)
    await page.goto(`${site}explanation/protocol.html`)
    expect(await filter()).toBe('none')
    await page.locator('button.VPSwitchAppearance').first().click()
    expect(await filter()).toContain('invert')
  })
  test('the control: a page that is not there, and one that is too wide, are noticed', async () => {
    await page.goto(`${site}guide/nothing.html`)
    expect(wrong).toEqual([`404 ${site}guide/nothing.html`])
    await page.goto(site)
    await page.evaluate(() =>
      document.body.append(Object.assign(document.createElement('div'), { style: 'width: 3000px; height: 9px' })),
    )
    expect(await excess()).toBeGreaterThan(1000)
  })
})
