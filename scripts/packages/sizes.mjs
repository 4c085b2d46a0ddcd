// What a user's bundler makes of the library: bytes of a door alone, and that one thing does not bring the others along.
import { relative } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const kib = 1024

/** What comes with the first call that needs it, and not before: encryption, steps, values too large for one answer. */
const later = ['*/encrypted-store.js', '*/steps.js', '*/whole.js', '*/operator.js', '*/late-claim.js']

/** Doors with their limits, in bytes of minified, gzipped ESM. `core` is the room: everything a call of `run` goes through. */
const doors = [
  { name: 'client', code: "export { idempotentFetch } from 'oncekey/client'", limit: 3 * kib },
  { name: 'core', code: "export { Idempotency } from './packages/oncekey/dist/core/run.js'", limit: 12 * kib },
  { name: 'core on its platform', code: "export { createIdempotency } from 'oncekey'", limit: 13.5 * kib },
  { name: 'with memoryStore', code: "export { createIdempotency, memoryStore } from 'oncekey'", limit: 17 * kib },
]

/** Imports with the files of the library that may be left of each after shaking. The last one is the control. */
const shaken = [
  { code: "export { IdempotencyError } from 'oncekey'", may: /^core\/errors\.js$/ },
  { code: "export { final } from 'oncekey'", may: /^core\// },
  { code: "export { createIdempotency } from 'oncekey'", may: /^(?:core\/|platform\/|steps\/index\.js$)/ },
  { code: "export { idempotentFetch } from 'oncekey/client'", may: /^(?:client\/|http\/headers\.js$)/ },
  { code: "export { streamScanner } from 'oncekey/providers'", may: /^(?:providers|core)\// },
]
const control = { code: "export { memoryStore } from 'oncekey'", may: /^(?:core|platform)\// }

/** Bundles a line of code as a user in `folder` would have it, with the library of this workspace. */
async function bundled(code, folder) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: folder },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'neutral',
    external: ['node:*', ...later],
    write: false,
    metafile: true,
  })
  const [output] = Object.values(metafile.outputs)
  const files = Object.entries(output.inputs)
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => relative('packages/oncekey/dist', path))
    // The line itself, and what only passes names on.
    .filter((path) => path.includes('/'))
  return { bytes: gzipSync(outputFiles[0].contents, { level: 9 }).length, files }
}

const strangers = async ({ code, may }, folder) => (await bundled(code, folder)).files.filter((path) => !may.test(path))

/** Prints what doors weigh; the sentences say what is too heavy or is not shaken off. `folder`: the workspace. */
export async function checkSizes(folder) {
  const wrong = []
  for (const { name, code, limit } of doors) {
    const { bytes, files } = await bundled(code, folder)
    console.log(`${name}: ${bytes} bytes gzipped from ${files.length} files, at most ${limit}`)
    if (bytes > limit) wrong.push(`${name} has ${bytes} bytes gzipped, at most ${limit}: ${files.join(', ')}`)
  }
  for (const one of shaken) {
    const found = await strangers(one, folder)
    if (found.length > 0) wrong.push(`${one.code} brings along ${found.join(', ')}`)
  }
  if (!(await strangers(control, folder)).includes('stores/memory.js')) wrong.push('the check of shaking sees nothing')
  return wrong
}
