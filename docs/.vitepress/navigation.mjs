// What the site shows on its left: groups of pages. A page of docs/ that is in no group, or a name that is no page, fails
// the build; the pages of a `folder` come by themselves.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const docs = fileURLToPath(new URL('..', import.meta.url))

/** A new page is one line here. */
const ours = [
  { text: 'Begin here', pages: ['tutorial'] },
  {
    text: 'How to: the gateway',
    pages: ['guide/gateway', 'guide/configuration', 'guide/batches', 'guide/long-work', 'guide/ledger'],
  },
  { text: 'How to: your server', pages: ['guide/servers', 'guide/library'] },
  { text: 'How to: your client', pages: ['guide/client', 'guide/clients'] },
  { text: 'How to: queues', pages: ['guide/queues'] },
  { text: 'How to: pipelines', pages: ['guide/steps'] },
  {
    text: 'How to: stores',
    pages: ['guide/choosing-a-store', 'guide/stores-postgres', 'guide/stores-redis', 'guide/encryption'],
  },
  { text: 'How to: operating', pages: ['guide/deploying', 'guide/operating', 'guide/observing'] },
  { text: 'Reference', folder: 'reference', collapsed: true },
  { text: 'Reference: what is exported', folder: 'generated/typedoc', collapsed: true },
  { text: 'Explanation', pages: ['explanation/protocol', 'guarantee', 'guide/policies', 'benchmarks', 'glossary'] },
  {
    text: 'For those who change it',
    pages: ['generated/repository/ARCHITECTURE', 'generated/repository/CONTRIBUTING', 'api/README'],
    folder: 'adr',
    collapsed: true,
  },
]

/** Pages that are reached from another one and would only be in the way here. */
const elsewhere = /^(?:README$|api\/)/

/** Every page of a folder below docs/, without its ending, in order. What is generated counts where it is asked for. */
export function pagesBelow(folder) {
  if (!existsSync(join(docs, folder))) return []
  return readdirSync(join(docs, folder), { recursive: true })
    .filter((path) => path.endsWith('.md') && !path.startsWith('node_modules'))
    .map((path) => join(folder, path).slice(0, -'.md'.length))
    .filter((page) => folder !== '.' || !page.startsWith('generated/'))
    .sort((one, other) => placeOf(one).localeCompare(placeOf(other)))
}

/** The page of a folder stands before what is in it. */
function placeOf(page) {
  return page.replace(/\/README$/, '')
}

/** The first heading, which every page has, as plain text. */
function titleOf(page) {
  const title = /^# (.+)$/m.exec(readFileSync(join(docs, `${page}.md`), 'utf8'))?.[1]
  if (title === undefined) throw new Error(`docs/${page}.md has no heading to be called by.`)
  return title.replaceAll('`', '')
}

/** The sidebar; throws when a page has no place in it, or a place no page. */
export function sidebar(groups = ours) {
  const shown = groups.map(({ text, pages = [], folder, collapsed = false }) => {
    // What is generated is there once it was generated; a test asks for the files that it is made of.
    const missing = pages.filter((page) => !page.startsWith('generated/') && !isPage(page))
    if (missing.length > 0)
      throw new Error(`The group "${text}" of navigation.mjs names no page: ${missing.join(', ')}`)
    const all = [...pages.filter(isPage), ...(folder === undefined ? [] : pagesBelow(folder))]
    return { text, collapsed, all }
  })
  const placed = new Set(shown.flatMap(({ all }) => all))
  const lost = pagesBelow('.').filter((page) => !placed.has(page) && !elsewhere.test(page))
  if (lost.length > 0) throw new Error(`No group of docs/.vitepress/navigation.mjs has ${lost.join(', ')}: add a line.`)
  return shown
    .filter(({ all }) => all.length > 0)
    .map(({ text, collapsed, all }) => ({ text, collapsed, items: all.map(itemOf) }))
}

function isPage(page) {
  return existsSync(join(docs, `${page}.md`))
}

function itemOf(page) {
  return { text: titleOf(page), link: `/${page.replace(/README$/, '')}` }
}
