// Builds the site into docs/.vitepress/dist, unless it is there and nothing has changed since; `--dev` serves it while it
// is written. What comes from the code and from the rest of the repository is generated first.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, createServer } from 'vitepress'
import { lostAnchors } from './anchors.mjs'
import { linkedFiles, writeRepositoryPages } from './links.mjs'
import { pagesBelow, sidebar } from './navigation.mjs'
import { writeReference } from './reference.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const docs = join(root, 'docs')
const dist = join(docs, '.vitepress/dist')
const stamp = join(dist, 'made-of.txt')

try {
  await make(linkedFiles(pagesBelow('.')))
} catch (error) {
  console.error(error.message)
  process.exit(1)
}

async function make(files) {
  const digest = digestOf(['docs', 'packages/oncekey/dist', 'package-lock.json', ...files])
  const isServed = process.argv.includes('--dev')
  if (!isServed && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) {
    console.log('The site is up to date.')
    return
  }
  await writeReference()
  writeRepositoryPages(files)
  // A page without a place is said here, and not in a stack of the configuration that VitePress could not load.
  sidebar()
  if (isServed) return serve()
  await build(docs)
  const lost = lostAnchors(dist)
  if (lost.length > 0) throw new Error(lost.join('\n'))
  writeFileSync(stamp, digest)
  console.log(
    `The site is in docs/.vitepress/dist: ${readdirSync(dist, { recursive: true }).filter(isPage).length} pages.`,
  )
}

async function serve() {
  const server = await createServer(docs)
  await server.listen()
  server.printUrls()
}

function isPage(name) {
  return name.endsWith('.html')
}

/** Of everything that the site is made from: of the library's build only the declarations. */
function digestOf(paths) {
  const hash = createHash('sha256')
  for (const path of paths.flatMap(filesOf).sort()) hash.update(`${path}\0`).update(readFileSync(join(root, path)))
  return hash.digest('hex')
}

function filesOf(path) {
  if (!statSync(join(root, path)).isDirectory()) return [path]
  return readdirSync(join(root, path), { withFileTypes: true }).flatMap((entry) => {
    const inside = `${path}/${entry.name}`
    if (entry.isDirectory())
      return /^docs\/(?:node_modules|generated|\.vitepress\/dist)$/.test(inside) ? [] : filesOf(inside)
    return path.startsWith('packages/oncekey/dist') && !entry.name.endsWith('.d.ts') ? [] : [inside]
  })
}
