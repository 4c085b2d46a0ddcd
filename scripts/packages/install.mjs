// Installs the packed packages into an empty project, as a user would, and compiles and runs what a user would write.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Ten lines of a user's own. They must compile with no types but the library's and the platform's. */
const program = `import { createIdempotency, IdempotencyError, memoryStore } from 'oncekey'
import { idempotentFetch } from 'oncekey/client'

const once = createIdempotency({ store: memoryStore(), onAbandoned: 'unknown' })
const total: number = await once.run({ key: 'order-1', input: { n: 1 } }, async (attempt) => attempt.number + 1)
const again: number = await once.run({ key: 'order-1', input: { n: 1 } }, async () => 7)
const refused = await once.run({ key: 'order-1', input: 2 }, () => 0).catch((error: unknown) => error)
const ask: typeof fetch = idempotentFetch({ retries: 2, key: ({ headers }) => headers.get('x-job') ?? undefined })
await once.close()
console.log(total, again, refused instanceof IdempotencyError && refused.code, typeof ask)
`
const printed = '2 2 fingerprint_mismatch function'
/** What must not compile: the types are there and say something. */
const mistake = "import { idempotentFetch } from 'oncekey/client'\nidempotentFetch({ retries: 'often' })\n"

const options = {
  target: 'ES2023',
  module: 'NodeNext',
  moduleResolution: 'NodeNext',
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  noEmit: true,
}

/** Makes the project, and answers its folder and what went wrong. */
export function checkInstall(root, folder, tarballs) {
  const wrong = []
  const project = join(folder, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'project', private: true, type: 'module' }))
  const run = (command, args) => {
    const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: project, encoding: 'utf8' })
    return { ok: status === 0, said: `${stdout}${stderr}${error?.message ?? ''}`.trim() }
  }
  // The library needs nothing, so it installs without a network; the gateway's dependencies are npm's to find.
  const [library, gateway] = tarballs
  const install = ['install', '--no-audit', '--no-fund', '--ignore-scripts']
  const alone = run('npm', [...install, '--offline', library])
  if (!alone.ok) return { project, wrong: [`the library does not install offline: ${alone.said}`] }
  const installed = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'))
  if (installed.join() !== 'oncekey') wrong.push(`the library brings along ${installed.join(', ')}`)

  const tsc = join(root, 'node_modules/.bin/tsc')
  const types = join(root, 'node_modules/@types')
  const platforms = {
    browser: { lib: ['ES2023', 'DOM', 'DOM.Iterable'], types: [] },
    node: { lib: ['ES2023'], typeRoots: [types], types: ['node'] },
  }
  writeFileSync(join(project, 'program.ts'), program)
  writeFileSync(join(project, 'mistake.ts'), mistake)
  for (const [name, own] of Object.entries(platforms)) {
    for (const [file, isRight] of [
      ['program.ts', true],
      ['mistake.ts', false],
    ]) {
      writeFileSync(
        join(project, 'tsconfig.json'),
        JSON.stringify({ compilerOptions: { ...options, ...own }, files: [file] }),
      )
      const { ok, said } = run(process.execPath, [tsc, '-p', '.'])
      if (ok !== isRight) wrong.push(`${file} ${isRight ? 'does not compile' : 'compiles'} for ${name}: ${said}`)
    }
  }
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...options, ...platforms.node, noEmit: false }, files: ['program.ts'] }),
  )
  run(process.execPath, [tsc, '-p', '.'])
  const { said } = run(process.execPath, ['program.js'])
  if (said !== printed) wrong.push(`the program printed ${said}`)
  else console.log('installs offline into an empty project, compiles for browsers and Node, runs')
  copyFileSync(join(root, 'scripts/packages/smoke.mjs'), join(project, 'smoke.mjs'))

  const both = run('npm', [...install, '--prefer-offline', library, gateway])
  const version = run(join(project, 'node_modules/.bin/oncekey'), ['--version'])
  const wanted = JSON.parse(readFileSync(join(root, 'packages/gateway/package.json'), 'utf8')).version
  if (!both.ok) wrong.push(`the gateway does not install: ${both.said}`)
  else if (!version.said.includes(wanted)) wrong.push(`oncekey --version says ${version.said}`)
  else console.log(`the gateway installs beside it: oncekey ${wanted}`)
  return { project, wrong }
}
