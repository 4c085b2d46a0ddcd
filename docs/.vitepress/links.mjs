// Where the relative links of a page lead on the site. The Markdown is written for a code host; what it links to outside of
// docs/ becomes a page of docs/generated/repository, so that the site needs neither a network nor a host it knows.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const generated = 'docs/generated/repository'

/** Headings' anchors as code hosts make them: the pages' links count on those. */
export function slugOf(title) {
  return title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}

/** The file of the repository that a page of the site shows. */
function sourceOf(page) {
  const path = join('docs', page.replace(/(^|\/)index\.md$/, '$1README.md'))
  if (!path.startsWith(`${generated}/`)) return path
  const inside = relative(generated, path)
  return existsSync(join(root, inside)) ? inside : inside.slice(0, -'.md'.length)
}

/** The page that shows a file or folder of the repository. */
function pageOf(path) {
  if (path.startsWith('docs/') && path.endsWith('.md')) return relative('docs', path)
  return relative('docs', join(generated, path.endsWith('.md') ? path : `${path}.md`))
}

/** What a link of a file names in the repository; undefined for addresses and anchors. Throws for what is not there. */
function targetOf(file, link) {
  const [place = ''] = link.split('#')
  if (place === '' || /^(?:[a-z]+:|\/)/.test(place)) return undefined
  const path = normalize(join(dirname(file), decodeURI(place))).replace(/\/$/, '')
  if (path.startsWith('..') || !existsSync(join(root, path))) throw new Error(`${file}: ${link} leads nowhere.`)
  return path
}

/** markdown-it: relative links and images lead where the site has them. */
export function siteLinks(markdown) {
  markdown.core.ruler.push('site-links', ({ tokens, env }) => {
    if (env.relativePath === undefined) return
    const file = sourceOf(env.relativePath)
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      if (token.type !== 'link_open') continue
      const link = token.attrGet('href')
      const target = targetOf(file, link)
      if (target === undefined) continue
      const page = pageOf(target).replace(/(^|\/)README\.md$/, '$1index.md')
      token.attrSet('href', `/${page}${/#.*$/.exec(link)?.[0] ?? ''}`)
    }
  })
}

/** Everything outside of docs/ that these pages link to, and that those link to in their turn, by path in the repository. */
export function linkedFiles(pages) {
  const seen = new Set(pages.map((page) => `docs/${page}.md`))
  for (const file of seen) {
    if (!file.endsWith('.md')) continue
    for (const [, link] of plain(readFileSync(join(root, file), 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)) {
      const target = targetOf(file, link)
      if (target !== undefined) seen.add(target)
    }
  }
  return [...seen].filter((file) => !file.startsWith('docs/'))
}

/** Writes a page for each of these. */
export function writeRepositoryPages(files) {
  rmSync(join(root, generated), { recursive: true, force: true })
  for (const file of files) writePage(file)
}

function plain(markdown) {
  return markdown.replace(/^( *)```[^\n]*\n[\s\S]*?^\1```$/gm, '')
}

/** Markdown as it is; a folder as a list; any other file as code. */
function writePage(file) {
  const to = join(root, 'docs', pageOf(file))
  mkdirSync(dirname(to), { recursive: true })
  if (file.endsWith('.md')) {
    cpSync(join(root, file), to)
    return
  }
  const body = statSync(join(root, file)).isDirectory() ? listOf(file) : codeOf(file)
  writeFileSync(to, `# ${file}\n\n${body}\n`)
}

function listOf(folder) {
  const names = readdirSync(join(root, folder)).filter((name) => statSync(join(root, folder, name)).isFile())
  return names.map((name) => `## ${name}\n\n${codeOf(join(folder, name))}`).join('\n\n')
}

function codeOf(file) {
  const language = /\.(\w+)$/.exec(file)?.[1] ?? 'text'
  return `\`\`\`\`\`${languages[language] ?? language}\n${readFileSync(join(root, file), 'utf8')}\`\`\`\`\``
}

/** Endings that the highlighter knows by another name. */
const languages = { mjs: 'js', service: 'ini', Dockerfile: 'docker' }
