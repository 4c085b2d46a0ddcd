/** Runs Biome with the project's own rules over files that exist only for the test. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * The rules that Biome finds broken, by file, in a tree of the project's shape that holds only what was planted. The
 * tree lies outside of the project: whoever runs the gate at the same time never meets a planted file.
 */
export function lint(planted: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const tree = mkdtempSync(join(tmpdir(), 'oncekey-rooms-'))
  try {
    const config = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as { plugins: readonly string[] }
    writeFileSync(join(tree, 'biome.json'), JSON.stringify({ ...config, $schema: undefined, vcs: { enabled: false } }))
    for (const plugin of config.plugins) cpSync(join(root, plugin), join(tree, plugin))
    for (const [path, text] of planted) {
      mkdirSync(dirname(join(tree, path)), { recursive: true })
      writeFileSync(join(tree, path), text)
    }
    const biome = join(root, 'node_modules/.bin/biome')
    const args = ['lint', '--reporter=json', '--max-diagnostics=none', 'packages']
    const { stdout, stderr } = spawnSync(biome, args, { cwd: tree, encoding: 'utf8', maxBuffer: 1e8 })
    if (!stdout.startsWith('{')) throw new Error(`Biome gave no report: ${stderr}`)
    const report = JSON.parse(stdout) as {
      summary: { changed: number; unchanged: number }
      diagnostics: { category: string; severity: string; location: { path: string } }[]
    }
    if (report.summary.changed + report.summary.unchanged !== planted.size) {
      throw new Error(`Biome read another number of files than the ${planted.size} planted: ${stderr}`)
    }
    const found = new Map<string, string[]>([...planted.keys()].map((path) => [path, []]))
    for (const { category, severity, location } of report.diagnostics) {
      if (severity === 'error') found.get(location.path)?.push(category)
    }
    return found
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}
