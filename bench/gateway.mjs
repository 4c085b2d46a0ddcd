// What does the gateway cost beside a bare proxy, the recording floor and a bare server (performance.md P3, P4, P6)?
// Rates are of CPU: requests a second of processor time of the measured process, steadier than the wall clock's.
import { fork, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { print, rounds } from './table.mjs'

const here = (file) => fileURLToPath(new URL(file, import.meta.url))
const children = []

/** Starts a server and resolves to { port, pid } from the first number it prints. */
function start(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return new Promise((resolve, reject) => {
    child.on('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}`)))
    child.stdout.once('data', (text) => {
      // Ours print a bare number, the gateway its ready line.
      const [, port] = /(?:^|127\.0\.0\.1:)(\d+)/.exec(String(text))
      resolve({ port: Number(port), pid: child.pid })
    })
  })
}

/** CPU seconds a process has used (Linux: clock ticks of 10 ms). */
function cpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Requests per CPU second; `events` counts 200 events of a stream instead. */
async function measure(server, path, keys, perRequest = 1) {
  const load = fork(here('load.mjs'), [server.port, 64, 2, path, keys], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  let before = 0
  load.once('message', () => {
    before = cpu(server.pid)
  })
  const { requests } = await new Promise((resolve, reject) => {
    let text = ''
    load.stdout.on('data', (chunk) => {
      text += chunk
    })
    load.on('exit', (code) => (code === 0 ? resolve(JSON.parse(text)) : reject(new Error(`load ended with ${code}`))))
  })
  return (requests * perRequest) / (cpu(server.pid) - before)
}

export async function run() {
  const path = mkdtempSync(join(tmpdir(), 'oncekey-bench-'))
  const node = process.execPath
  try {
    const upstream = await start(node, [here('servers.mjs'), 'upstream'])
    const url = `http://127.0.0.1:${upstream.port}`
    const bare = await start(node, [here('servers.mjs'), 'bare'])
    const proxy = await start(node, [here('servers.mjs'), 'proxy', url])
    const floor = await start(node, [here('servers.mjs'), 'floor', url])
    const gateway = await start(node, [
      here('../packages/gateway/bin/oncekey.mjs'),
      'gateway',
      '--upstream',
      url,
      '--port',
      '0',
      '--store',
      `lmdb:${path}`,
      '--keyless',
      'off',
    ])
    const rates = await rounds(5, {
      'bare server': () => measure(bare, '/v1/x', 'none'),
      'bare undici proxy': () => measure(proxy, '/v1/x', 'none'),
      'gateway, pass-through': () => measure(gateway, '/v1/x', 'none'),
      'recording floor': () => measure(floor, '/v1/x', 'unique'),
      'gateway, execution': () => measure(gateway, '/v1/x', 'unique'),
      'gateway, replay': () => measure(gateway, '/v1/y', 'same'),
      'bare undici proxy, SSE events': () => measure(proxy, '/v1/chat/completions', 'none', 200),
      'gateway, SSE events captured': () => measure(gateway, '/v1/chat/completions', 'unique', 200),
    })
    print('gateway over LMDB, per second of its CPU, 64 connections, 1 KiB each way', rates, {
      'gateway, pass-through': { name: 'P3', against: 'bare undici proxy', least: 0.9 },
      'gateway, execution': { name: 'P3', against: 'recording floor', least: 0.8 },
      'gateway, replay': { name: 'P4', against: 'bare server', least: 0.6 },
      'gateway, SSE events captured': { name: 'P6', against: 'bare undici proxy, SSE events', least: 0.8 },
    })
  } finally {
    for (const child of children) {
      child.removeAllListeners('exit')
      child.kill('SIGKILL')
    }
    rmSync(path, { recursive: true, force: true })
  }
}
