// Refuses source files of more than 300 lines, all lines counted, and a package in which no source file was found.
// Biome has the same limit for editors; this one cannot be switched off by a comment in the file.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Lines a file, from ARCHITECTURE.md: what is longer holds two ideas. */
const limit = 300

const root = resolve(process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url)))
const packages = readdirSync(join(root, 'packages'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
const wrong = packages.length === 0 ? ['packages: no package found'] : []
let seen = 0

for (const { name } of packages) {
  const folder = join(root, 'packages', name, 'src')
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && /\.[cm]?[jt]sx?$/.test(entry.name),
  )
  if (files.length === 0) wrong.push(`packages/${name}/src: no source file found`)
  for (const file of files) {
    const path = join(file.parentPath, file.name)
    const lines = readFileSync(path, 'utf8').replace(/\n$/, '').split('\n').length
    if (lines > limit) wrong.push(`${relative(root, path)}: ${lines} lines, at most ${limit}`)
  }
  seen += files.length
}

for (const line of wrong) console.error(line)
console.log(`${seen} source files, ${wrong.length} too long or missing`)
process.exit(wrong.length === 0 ? 0 : 1)
