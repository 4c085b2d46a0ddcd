// A private nginx: it listens on a free port of the loopback, and everything it writes lies in its own folder.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureProgram } from '../tools.mjs'
import { ordinaryUser, ownFolder } from './folders.mjs'
import { startServer } from './server.mjs'

/** What nginx keeps on the disk; compiled in are folders of the system, which belong to root and to another nginx. */
const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

/** Which version an `nginx` is. */
export function nginxVersion(program) {
  return /nginx\/([\d.]+)/.exec(spawnSync(program, ['-v'], { encoding: 'utf8' }).stderr)?.[1] ?? 'unknown'
}

/** nginx with `http(server)` as what stands in the `http` context of its configuration. */
export async function startNginx({ http }) {
  const program = ensureProgram('nginx')
  const user = ordinaryUser()
  const folder = ownFolder('nginx', user)
  const prepare = (server) => {
    const lines = [
      'daemon off;',
      // One, so that it takes the servers of a group in their order.
      'worker_processes 1;',
      `pid ${join(folder, 'nginx.pid')};`,
      `lock_file ${join(folder, 'nginx.lock')};`,
      'events { worker_connections 1024; }',
      'http {',
      ...temporary.map((name) => `${name}_temp_path ${join(folder, name)};`),
      'access_log off;',
      http(server),
      '}',
    ]
    writeFileSync(join(folder, 'nginx.conf'), `${lines.join('\n')}\n`)
  }
  return startServer(
    {
      name: 'nginx',
      version: nginxVersion(program),
      program,
      user,
      // The log of its start goes to stderr too: the file that is compiled in may not be written.
      args: () => ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf'), '-g', 'error_log stderr notice;'],
      prepare,
      ready: /start worker process \d+/,
      url: ({ host, port }) => `http://${host}:${port}`,
    },
    folder,
  )
}
