// Packs both packages as they would be published and judges the result: publint, attw, and the size of the library.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'oncekey-pack-'))
let failed = 0

/** Runs a command and shows what it wrote if asked; its failure is shown, counted and does not stop the other checks. */
function run(command, args, show) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  if (status === 0) {
    if (show) console.log(stdout.trim())
    return
  }
  failed += 1
  console.error([`failed: ${command} ${args.join(' ')}`, stdout, stderr, error?.message ?? ''].join('\n').trim())
}

const tool = (name) => join(root, 'node_modules/.bin', name)

function check(name) {
  const into = mkdtempSync(join(folder, 'tarball-'))
  run('npm', ['pack', '--ignore-scripts', '--workspace', `packages/${name}`, '--pack-destination', into], false)
  const tarballs = readdirSync(into).filter((file) => file.endsWith('.tgz'))
  if (tarballs.length !== 1) {
    failed += 1
    console.error(`packages/${name}: expected one packed file, found ${tarballs.length}`)
    return
  }
  const tarball = join(into, tarballs[0])
  console.log(`packages/${name}: ${readFileSync(tarball).length} bytes packed`)
  run(tool('publint'), ['run', tarball, '--strict'], true)
  run(tool('attw'), [tarball, '--profile', 'esm-only', '--no-emoji', '--format', 'ascii'], true)
}

/** Sizes of the compiled JavaScript: all of the library, and its core alone. */
function sizes() {
  const dist = join(root, 'packages/oncekey/dist')
  const library = readdirSync(dist, { recursive: true }).filter((file) => file.endsWith('.js'))
  const core = library.filter((file) => /^core[\\/]/.test(file))
  for (const [name, files] of Object.entries({ library, core })) {
    if (files.length === 0) {
      failed += 1
      console.error(`${name}: nothing in packages/oncekey/dist: run npm run build`)
      continue
    }
    const bytes = Buffer.concat(files.map((file) => readFileSync(join(dist, file))))
    console.log(`${name}: ${files.length} files, ${bytes.length} bytes, ${gzipSync(bytes).length} gzipped`)
  }
}

try {
  for (const name of ['oncekey', 'gateway']) check(name)
  sizes()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(failed === 0 ? 'both packages are fit to publish' : `${failed} package checks failed`)
process.exit(failed === 0 ? 0 : 1)
