// Packs both packages as they would be published and judges the result: publint, attw, sizes, what they export, and
// whether they install and run where they should.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { report } from './api-report.mjs'
import { checkInstall } from './packages/install.mjs'
import { checkRuntimes } from './packages/runtimes.mjs'
import { checkSizes } from './packages/sizes.mjs'

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
    return undefined
  }
  const tarball = join(into, tarballs[0])
  console.log(`packages/${name}: ${readFileSync(tarball).length} bytes packed`)
  run(tool('publint'), ['run', tarball, '--strict'], true)
  run(tool('attw'), [tarball, '--profile', 'esm-only', '--no-emoji', '--format', 'ascii'], true)
  return tarball
}

/** Prints sentences about what is wrong, and counts them. */
function complain(sentences) {
  failed += sentences.length
  for (const sentence of sentences) console.error(`failed: ${sentence}`)
}

try {
  const tarballs = ['oncekey', 'gateway'].map(check)
  complain(await checkSizes(root))
  complain(report(true).wrong)
  const { project, wrong } = checkInstall(root, folder, tarballs)
  complain(wrong)
  complain(await checkRuntimes(root, project))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(failed === 0 ? 'both packages are fit to publish' : `${failed} package checks failed`)
process.exit(failed === 0 ? 0 : 1)
