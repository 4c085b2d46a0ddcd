// One private server: a program on a free port of the loopback with a folder of its own, gone when its owner is.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A server that has not come up by now never will: two busy cores need about 5 s for the slowest. */
const startMs = 60_000
/** A server that was asked to end gets this long to do so. */
const stopMs = 10_000

/**
 * What ends a server whose owner died, whatever it died of: the owner's end of the pipe closes. Each line is the
 * server's process id, empty when it has ended. A killed server leaves the shared memory of its moved clock behind. The
 * folder goes last, and again after stragglers wrote into it.
 */
const guard = `
  tidy() { rm -f "/dev/shm/faketime_shm_$pid" "/dev/shm/sem.faketime_sem_$pid"; }
  while read -r line; do [ -n "$line" ] || tidy; pid=$line; done
  if [ -n "$pid" ]; then kill -9 $pid $(cat /proc/$pid/task/$pid/children 2>/dev/null) 2>/dev/null; tidy; fi
  rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }`

/**
 * A program that listens. `spec`: name, version, program, args(server), ready (what its log says when it listens),
 * user?, env?, prepare(server)? before every start, url(server), stopSignal?, portsAbove? (further ports it takes).
 */
class Server {
  host = '127.0.0.1'
  port = 0
  #spec
  #child
  #guard

  constructor(spec, folder) {
    this.#spec = spec
    this.folder = folder
    this.#guard = spawn('/bin/sh', ['-c', guard, 'guard', folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
    // A guard that somebody killed must not take its owner along.
    this.#guard.stdin.on('error', () => {})
    this.#guard.unref()
    this.#guard.stdin.unref()
  }

  get name() {
    return this.#spec.name
  }

  get version() {
    return this.#spec.version
  }

  get url() {
    return this.#spec.url(this)
  }

  /** The process id, undefined while it is down. */
  get pid() {
    return this.#child?.pid
  }

  /** Its log since the last start. */
  get log() {
    return readFileSync(join(this.folder, 'log'), 'utf8')
  }

  /** Starts it, again on the same port and folder after `kill`. Resolves when it accepts connections. */
  async start() {
    if (this.#child !== undefined) throw new Error(`${this.name} on port ${this.port} is running already.`)
    const untilMs = Date.now() + startMs
    for (;;) {
      await this.#spec.prepare?.(this)
      if (await this.#comesUp(untilMs)) return
      // A killed PostgreSQL is not gone before the last of its processes is.
      if (!/pre-existing shared memory block/.test(this.log) || Date.now() > untilMs) {
        throw new Error(`${this.name} did not start:\n${this.log.split('\n').slice(-12).join('\n')}`)
      }
      await sleep(50)
    }
  }

  async #comesUp(untilMs) {
    const { program, args, env, user, ready } = this.#spec
    const log = openSync(join(this.folder, 'log'), 'w')
    const child = spawn(program, args(this), {
      cwd: this.folder,
      env: { ...process.env, ...env?.(this) },
      stdio: ['ignore', log, log],
      // Ctrl-C is the owner's to hear, who stops its servers in order.
      detached: true,
      ...user,
    })
    closeSync(log)
    const failed = new Promise((_, reject) => child.once('error', reject))
    if (child.pid !== undefined) this.#holds(child)
    while (!ready.test(this.log)) {
      await Promise.race([sleep(20), failed])
      if (this.#child !== child) return false
      if (Date.now() > untilMs) {
        await this.kill()
        return false
      }
    }
    failed.catch(() => {})
    return true
  }

  #holds(child) {
    this.#child = child
    this.#guard.stdin.write(`${child.pid}\n`)
    child.unref()
    child.once('exit', () => {
      this.#child = undefined
      if (this.#guard.stdin.writable) this.#guard.stdin.write('\n')
    })
  }

  /** Sends a signal. What no process can catch reaches all processes of the server, for PostgreSQL has many. */
  signal(name) {
    const pid = this.pid
    if (pid === undefined) throw new Error(`${this.name} on port ${this.port} is down.`)
    const all = ['SIGKILL', 'SIGSTOP', 'SIGCONT'].includes(name) ? [pid, ...childrenOf(pid)] : [pid]
    for (const one of all) {
      try {
        process.kill(one, name)
      } catch (error) {
        if (error.code !== 'ESRCH') throw error
      }
    }
  }

  /** Ends it by a signal and waits for its end. Folder and port are kept for `start`. */
  async kill(signal = 'SIGKILL') {
    if (this.#child === undefined) return
    this.#child.ref()
    const ended = once(this.#child, 'exit')
    this.signal(signal)
    await ended
    // A process of a server that was killed with the first may hold the port a moment longer.
    const untilMs = Date.now() + stopMs
    while (!(await isFree(this.port)) && Date.now() < untilMs) await sleep(10)
  }

  /** Ends it in good order, and removes its folder. */
  async stop() {
    const late = setTimeout(() => this.#child && this.signal('SIGKILL'), stopMs)
    await this.kill(this.#spec.stopSignal ?? 'SIGTERM')
    clearTimeout(late)
    if (!this.#guard.stdin.writable) return
    this.#guard.ref()
    this.#guard.stdin.end()
    await once(this.#guard, 'exit')
  }
}

function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  } catch {
    // Not Linux, or gone. The children of a PostgreSQL end by themselves soon after it.
    return []
  }
}

/** Starts a server in this folder, on a port that nobody else took in the meantime. */
export async function startServer(spec, folder) {
  const server = new Server(spec, folder)
  for (let tries = 1; ; tries++) {
    server.port = await freePort(spec.portsAbove)
    try {
      await server.start()
      return server
    } catch (error) {
      if (/address already in use/i.test(error.message) && tries < 5) continue
      await server.stop()
      throw error
    }
  }
}

/**
 * A port that is free, as are the ones that lie `above` it. Below the range that systems hand out themselves: a server
 * that is down would find its port taken by any outgoing connection.
 */
async function freePort(above = []) {
  for (;;) {
    const port = 11_000 + Math.floor(Math.random() * 9_000)
    const free = await Promise.all([0, ...above].map((more) => isFree(port + more)))
    if (free.every(Boolean)) return port
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
