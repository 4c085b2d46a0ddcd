/** Every relative link of every page leads to a file, and to a heading where it names one. */
import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'
import { anchors, pages, plain, root, textOf } from './markdown.ts'

interface Link {
  readonly page: string
  readonly target: string
}

const links: readonly Link[] = pages.flatMap((page) =>
  [...plain(textOf(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ page, target })),
)

/** What is wrong with a link, or undefined. */
function broken({ page, target }: Link): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined
  const [path = '', anchor] = target.split('#')
  const place = path === '' ? page : normalize(join(dirname(page), path))
  if (place.startsWith('..') || !existsSync(join(root, place))) return `${page}: ${target} leads nowhere`
  if (anchor !== undefined && !anchors(textOf(place)).has(anchor)) return `${page}: ${target} has no such heading`
  return undefined
}

describe('links', () => {
  test('there are pages and links', () => {
    expect(pages.length).toBeGreaterThan(20)
    expect(links.length).toBeGreaterThan(50)
  })
  test('a link to nowhere and one to no heading are found', () => {
    expect(broken({ page: 'README.md', target: 'docs/nothing.md' })).toContain('leads nowhere')
    expect(broken({ page: 'README.md', target: 'SECURITY.md#nothing' })).toContain('no such heading')
  })
  test('every relative link leads somewhere', () => {
    expect(links.map(broken).filter((wrong) => wrong !== undefined)).toEqual([])
  })
  test('every page of docs/ is reached from the README', () => {
    const reached = new Set(['README.md'])
    for (const page of reached) {
      for (const { target } of links.filter((link) => link.page === page)) {
        const [path = ''] = target.split('#')
        const place = normalize(join(dirname(page), path))
        if (path.endsWith('.md') && pages.includes(place)) reached.add(place)
      }
    }
    expect(pages.filter((page) => page.startsWith('docs/') && !reached.has(page))).toEqual([])
  })
})

describe('pages', () => {
  test('name no place of the machine they were written on', () => {
    const places = /(?:^|[\s"'`(])\/(?:work|home|root|tmp|Users)\//
    expect(pages.filter((page) => places.test(textOf(page)))).toEqual([])
  })
})
