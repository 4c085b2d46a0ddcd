// A private NATS server with JetStream, whose streams lie in its own folder.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { ensureProgram } from '../tools.mjs'
import { ownFolder } from './folders.mjs'
import { startServer } from './server.mjs'

/** Which version a `nats-server` is. */
export function natsVersion(program) {
  return /v([\d.]+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
}

/** A server of its own. Streams are on the disk and survive `kill`. */
export async function startNats() {
  const program = ensureProgram('nats-server')
  const folder = ownFolder('nats')
  return startServer(
    {
      name: 'nats',
      version: natsVersion(program),
      program,
      args: ({ host, port }) => ['-a', host, '-p', String(port), '-js', '-sd', join(folder, 'streams')],
      ready: /Server is ready/,
      url: ({ host, port }) => `nats://${host}:${port}`,
    },
    folder,
  )
}
