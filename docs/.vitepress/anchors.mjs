// Looks in the built site for links to headings that are not there; VitePress checks pages only.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** What leads nowhere, as sentences. */
export function lostAnchors(dist) {
  const files = readdirSync(dist, { recursive: true }).filter((name) => name.endsWith('.html'))
  const pages = new Map(files.map((name) => [name, read(join(dist, name))]))
  return [...pages].flatMap(([name, { links }]) =>
    links.flatMap((link) => {
      const [place, anchor] = link.split('#')
      const target = place === '' ? name : placeOf(name, place)
      return pages.get(target)?.ids.has(decodeURIComponent(anchor)) ? [] : [`${name}: ${link} names no heading`]
    }),
  )
}

/** The file of the site that an address names. */
function placeOf(page, place) {
  const path = place.startsWith('/') ? place.slice(1) : relative('.', join(dirname(page), place))
  return path === '' || path.endsWith('/') ? `${path}index.html` : path
}

function read(path) {
  const html = readFileSync(path, 'utf8')
  return {
    ids: new Set([...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id)),
    links: [...html.matchAll(/<a [^>]*?href="([^":]*#[^"]+)"/g)].map(([, link]) => link),
  }
}
