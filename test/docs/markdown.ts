/** Reads the project's Markdown: files, tables, fenced code, headings. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url))

/** The text of a file of the repository. */
export function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** Every Markdown page of the project, by its path in the repository. */
export const pages: readonly string[] = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...['docs', 'packages', 'examples', 'bench', 'test'].flatMap((folder) => below(folder, '.md')),
].sort()

/** The files below a folder whose name ends so; nothing that is built, generated or installed. */
export function below(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !/(^|\/)(?:node_modules|dist|docs\/generated)\//.test(path))
}

/** A row of a table: its cells, trimmed. */
type Row = readonly string[]

/** The rows of the first table whose heading row is exactly this; throws when there is none. */
export function table(markdown: string, ...heading: string[]): readonly Row[] {
  const lines = plain(markdown).split('\n')
  const at = lines.findIndex((line) => line.startsWith('|') && cells(line).join('|') === heading.join('|'))
  if (at < 0) throw new Error(`there is no table with the columns ${heading.join(', ')}`)
  const rows = lines.slice(at + 2)
  const end = rows.findIndex((line) => !line.startsWith('|'))
  return rows.slice(0, end < 0 ? undefined : end).map(cells)
}

/** What stands between the pipes; `\|` is a pipe of the cell. */
function cells(line: string): string[] {
  return line
    .trim()
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim())
}

/** Everything in backticks, in order. */
export function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, inside = '']) => inside)
}

/** A fenced block and its language. */
interface Block {
  readonly language: string
  readonly text: string
}

/** All fenced blocks, in order. */
export function blocks(markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^( *)```(\w*)\n([\s\S]*?)^\1```$/gm)].map(([, , language = '', text = '']) => ({
    language,
    text,
  }))
}

/** The page without its fenced blocks. */
export function plain(markdown: string): string {
  return markdown.replace(/^( *)```\w*\n[\s\S]*?^\1```$/gm, '')
}

/** The part of a page under a heading, up to the next one of the same or a higher level; throws when there is none. */
export function section(markdown: string, title: string): string {
  const start = new RegExp(`^(#+) ${title}$`, 'm').exec(markdown)
  if (start === null) throw new Error(`there is no heading "${title}"`)
  const rest = markdown.slice(start.index + start[0].length)
  const end = new RegExp(`^#{1,${start[1]?.length}} `, 'm').exec(rest)
  return end === null ? rest : rest.slice(0, end.index)
}

/** The anchors of a page's headings, as hosts of repositories make them. */
export function anchors(markdown: string): ReadonlySet<string> {
  const titles = [...plain(markdown).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title)
  return new Set(
    titles.map((title) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  )
}
