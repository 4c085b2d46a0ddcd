// Packs both packages as they would be published and judges the result: publint, attw, and the size of the library.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'oncekey-pack-'))
const run = (command, args) =>
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' })

try {
  for (const name of ['oncekey', 'gateway']) {
    run('npm', ['pack', '--ignore-scripts', '--workspace', `packages/${name}`, '--pack-destination', folder])
  }
  const tarballs = readdirSync(folder).filter((file) => file.endsWith('.tgz'))
  if (tarballs.length !== 2) throw new Error(`expected 2 packed packages, found ${tarballs.length}`)
  for (const tarball of tarballs) {
    console.log(run('npx', ['publint', 'run', join(folder, tarball), '--strict']).trim())
    console.log(
      run('npx', ['attw', join(folder, tarball), '--profile', 'esm-only', '--no-emoji', '--format', 'ascii']).trim(),
    )
  }
  const core = readdirSync(join(root, 'packages/oncekey/dist/core')).filter((file) => file.endsWith('.js'))
  if (core.length === 0) throw new Error('packages/oncekey/dist/core is empty: run npm run build')
  const bytes = Buffer.concat(core.map((file) => readFileSync(join(root, 'packages/oncekey/dist/core', file))))
  console.log(`core: ${core.length} files, ${bytes.length} bytes, ${gzipSync(bytes).length} bytes gzipped`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
