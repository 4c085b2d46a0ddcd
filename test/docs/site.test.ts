/** What the build of the site refuses: links to nowhere, headings that are not there, pages without a place. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { lostAnchors } from '../../docs/.vitepress/anchors.mjs'
import { linkedFiles, siteLinks, slugOf } from '../../docs/.vitepress/links.mjs'
import { sidebar } from '../../docs/.vitepress/navigation.mjs'
import { anchors, pages } from './markdown.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-site-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Where a link of a page leads on the site. */
function led(page: string, link: string): string {
  let rule: (state: unknown) => void = () => {}
  siteLinks({ core: { ruler: { push: (_, given) => (rule = given) } } })
  let href = link
  const token = { type: 'link_open', attrGet: () => href, attrSet: (_: string, to: string) => (href = to) }
  rule({ tokens: [{ children: [token] }], env: { relativePath: page } })
  return href
}

describe('links', () => {
  test.each([
    ['guide/library.md', '../reference/errors.md', '/reference/errors.md'],
    ['guide/library.md', '../adr/README.md', '/adr/index.md'],
    ['index.md', 'guide/library.md#errors', '/guide/library.md#errors'],
    ['guide/library.md', '../../examples/library.mjs', '/generated/repository/examples/library.mjs.md'],
    ['guide/policies.md', '../../examples/policies', '/generated/repository/examples/policies.md'],
    ['guide/flags.md', '../../SECURITY.md#pepper', '/generated/repository/SECURITY.md#pepper'],
    ['generated/repository/SECURITY.md', 'docs/guide/deploying.md#https', '/guide/deploying.md#https'],
    ['guide/library.md', '#errors', '#errors'],
    ['guide/library.md', 'https://nodejs.org/', 'https://nodejs.org/'],
  ])('of %s: %s leads to %s', (page, link, to) => {
    expect(led(page, link)).toBe(to)
  })
  test('to what is not there, or outside of the repository, end the build', () => {
    expect(() => led('guide/library.md', 'libary.md')).toThrow('docs/guide/library.md: libary.md leads nowhere.')
    expect(() => led('guide/library.md', '../../../secret.md')).toThrow('leads nowhere')
  })
  test('out of docs/ bring along what those link to', () => {
    const files = linkedFiles(['README'])
    expect(files).toEqual(expect.arrayContaining(['ARCHITECTURE.md', 'CONTRIBUTING.md']))
    expect(files.filter((file) => file.startsWith('docs/'))).toEqual([])
  })
})

describe('headings', () => {
  test('have the anchors of a code host', () => {
    for (const title of ['createIdempotency(options)', 'What is `unknown`?', 'Rows and outcome in one transaction'])
      expect([...anchors(`# ${title}`)]).toEqual([slugOf(title)])
  })
  test('that a link names and that are not there are found in the built pages', () => {
    mkdirSync(join(folder, 'guide'))
    writeFileSync(
      join(folder, 'index.html'),
      '<h1 id="top"></h1><a href="/guide/one.html#two">a</a><a class="x" href="#top">b</a>',
    )
    writeFileSync(
      join(folder, 'guide/one.html'),
      '<a href="/#top">a</a><a href="/guide/one.html#gone">b</a><a href="/lost.html#top">c</a>',
    )
    expect([...lostAnchors(folder)].sort()).toEqual([
      'guide/one.html: /guide/one.html#gone names no heading',
      'guide/one.html: /lost.html#top names no heading',
      'index.html: /guide/one.html#two names no heading',
    ])
  })
})

describe('the sidebar', () => {
  test('has every page of docs/ that is not for reviewers', () => {
    const links = sidebar().flatMap(({ items }) => items.map(({ link }) => link))
    const wanted = pages
      .filter((page) => page.startsWith('docs/') && !/^docs\/(?:README|api\/\w+)\.md$/.test(page))
      .map((page) => page.replace(/^docs|README\.md$|\.md$/g, ''))
    expect(wanted.length).toBeGreaterThan(60)
    expect(wanted.filter((page) => !links.includes(page))).toEqual([])
    expect(new Set(links).size).toBe(links.length)
  })
  test('ends the build for a page without a place, and for a place without a page', () => {
    expect(() => sidebar([{ text: 'All', folder: 'guide' }])).toThrow(/No group .* has .*glossary.*: add a line\./)
    expect(() => sidebar([{ text: 'All', pages: ['guide/nothing'] }])).toThrow('names no page: guide/nothing')
  })
})
