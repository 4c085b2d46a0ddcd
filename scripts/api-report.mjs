// Writes one page a public subpath into docs/api: every name that is exported, with its declaration, so that a change to
// what users see is a change in a diff. `--check` writes nothing and fails where a page is not what the build exports.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { exportsOf, neededBy } from './packages/declarations.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const library = join(root, 'packages/oncekey')
const pages = join(root, 'docs/api')

/** Every public subpath of the library with its declaration file. */
export function subpaths() {
  const { exports } = JSON.parse(readFileSync(join(library, 'package.json'), 'utf8'))
  return Object.entries(exports).map(([subpath, { types }]) => ({
    name: subpath === '.' ? 'oncekey' : `oncekey${subpath.slice(1)}`,
    page: `${subpath === '.' ? 'oncekey' : subpath.slice(2).replaceAll('/', '-')}.md`,
    types: join(library, types),
  }))
}

/** The names of a subpath that have no docstring where they are declared, and those whose declaration was not found. */
export function undocumented({ types }) {
  return [...exportsOf(types)].flatMap(([name, declaration]) => (declaration?.doc ? [] : [name]))
}

/** The page of a subpath. */
export function reportOf({ name, types }) {
  const exported = [...exportsOf(types)].sort(([one], [other]) => (one < other ? -1 : 1))
  const declarations = exported.map(([, declaration]) => declaration)
  const needed = neededBy(declarations).sort((one, other) => (one.name < other.name ? -1 : 1))
  const placeOf = ({ path }) => relative(join(library, 'dist'), path).replace('.d.ts', '.ts')
  const lines = exported.map(([as, one]) => `// ${as} (${placeOf(one)})\n${one.text}\n`)
  const behind = needed.map((one) => `// ${one.name} (${placeOf(one)})\n${one.text}\n`)
  return [
    `# ${name}\n`,
    'Written by `node scripts/api-report.mjs` from the build, and compared by `npm run packages`. Do not edit.\n',
    `## Exported\n\n\`\`\`\n${lines.join('\n')}\`\`\`\n`,
    ...(behind.length === 0 ? [] : [`## Reached through these\n\n\`\`\`\n${behind.join('\n')}\`\`\`\n`]),
  ].join('\n')
}

function index(all) {
  const items = all.map(({ name, page }) => `- [${name}](${page})`)
  return `# What the library exports\n\nOne page a subpath, with every declaration, for those who review a change to it.\n\n${items.join('\n')}\n`
}

/** Compares, or writes: the sentences say what is wrong. */
export function report(check) {
  const wrong = []
  const all = subpaths()
  mkdirSync(pages, { recursive: true })
  for (const subpath of all) {
    const missing = undocumented(subpath)
    if (missing.length > 0) wrong.push(`${subpath.name}: no docstring at ${missing.join(', ')}`)
  }
  const made = new Map(all.map((subpath) => [subpath.page, reportOf(subpath)]))
  made.set('README.md', index(all))
  for (const [page, text] of made) {
    if (!check) writeFileSync(join(pages, page), text)
    else if (read(join(pages, page)) !== text) wrong.push(`docs/api/${page} is not what the build exports. ${advice}`)
  }
  for (const name of readdirSync(pages).filter((file) => !made.has(file))) {
    if (check) wrong.push(`docs/api/${name} belongs to no subpath. ${advice}`)
    else rmSync(join(pages, name))
  }
  return { wrong, count: all.length }
}

const advice = 'Run "npm run build && node scripts/api-report.mjs" and review the diff.'

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { wrong, count } = report(process.argv.includes('--check'))
  for (const sentence of wrong) console.error(sentence)
  console.log(`${count} subpaths, ${wrong.length} complaints`)
  process.exitCode = wrong.length === 0 ? 0 : 1
}
