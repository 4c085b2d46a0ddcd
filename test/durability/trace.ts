/** Records the system calls of a workload with strace, and reads them back as events in the order they happened. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A call by a process: it began at `start` and was over at `end`, in lines of the trace; infinite if it never was. */
interface Span {
  readonly process: string
  readonly start: number
  readonly end: number
}

/** A write to the file. `durable`: it returns only when it is on the disk (O_DSYNC). */
export interface Write extends Span {
  readonly kind: 'write'
  readonly offset: number
  readonly bytes: Buffer
  readonly durable: boolean
}

/** What happened to the file, and what the workload said meanwhile. */
export type Event =
  | Write
  | (Span & { readonly kind: 'sync' })
  | (Span & { readonly kind: 'ack'; readonly line: string })

/**
 * What strace is asked to see: which file a number means, and all that LMDB may write with. What else could change the
 * file would show when the replayed writes are compared with the file that the workload left.
 */
const calls = [
  ...['openat', 'close', 'clone', 'clone3', 'execve', 'lseek', 'write', 'writev', 'pwrite64', 'pwritev', 'pwritev2'],
  ...['fdatasync', 'fsync', 'sync_file_range', 'msync', 'ftruncate', 'fallocate'],
]

/** How long every sync takes at least, in µs: as on a disk, so that commits and calls really overlap with it. */
const syncUs = 8_000

/** Runs a Node script under strace; answers the text of the trace. Throws if the script fails. */
export function record(strace: string, script: string, args: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'oncekey-trace-'))
  try {
    const log = join(folder, 'log')
    const flags = ['-f', '--seccomp-bpf', '-q', '-v', '-xx', '-s', '100000000', '-e', 'signal=none', '-o', log]
    const what = ['-e', `trace=${calls.join(',')}`, '-e', `inject=fdatasync,fsync:delay_exit=${syncUs}`]
    const { status, stderr, error } = spawnSync(strace, [...flags, ...what, process.execPath, script, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 60_000,
    })
    if (status !== 0) throw new Error(`The workload under strace failed (${status}): ${stderr}`, { cause: error })
    return readFileSync(log, 'latin1')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Call {
  readonly pid: string
  readonly name: string
  args: string
  result: string
  readonly start: number
  end: number
}

/** The calls of a trace in the order of their beginnings; what strace tore into two lines is put together again. */
function callsOf(trace: string): Call[] {
  const found: Call[] = []
  const unfinished = new Map<string, Call>()
  /** Threads whose last line breaks off: they must turn out to have been killed there. */
  const torn = new Map<string, string>()
  for (const [at, line] of trace.split('\n').entries()) {
    const [, pid, text] = /^(\d+) +(.*)$/s.exec(line) ?? []
    if (pid === undefined || text === undefined) continue
    if (text.startsWith('+++')) {
      if (text.includes('killed by')) torn.delete(pid)
    } else if (text.startsWith('<... ')) {
      const call = unfinished.get(pid)
      const [, name, rest] = /^<\.\.\. (\w+) resumed>(.*)$/s.exec(text) ?? []
      if (call === undefined || name !== call.name || rest === undefined)
        throw new Error(`Trace: resumes nothing: ${text}`)
      if (!finish(call, rest, at)) torn.set(pid, text)
      unfinished.delete(pid)
    } else {
      const [, name, rest] = /^(\w+)\((.*)$/s.exec(text) ?? []
      if (name === undefined || rest === undefined) throw new Error(`Trace: not a call: ${text.slice(0, 200)}`)
      const call: Call = { pid, name, args: '', result: '?', start: at, end: Number.POSITIVE_INFINITY }
      const suspended = / ?<unfinished \.\.\.>$/.exec(rest)
      if (suspended !== null) {
        call.args = rest.slice(0, suspended.index)
        unfinished.set(pid, call)
      } else if (!finish(call, rest, at)) {
        // It never came to be a call.
        torn.set(pid, text)
        continue
      }
      found.push(call)
    }
  }
  for (const text of torn.values()) throw new Error(`Trace: a line breaks off: ${text.slice(0, 200)}`)
  return found
}

/** Completes a call by `more arguments) = result`; `?` is the result of a call whose thread was killed inside it. */
function finish(call: Call, text: string, at: number): boolean {
  // Strings are all hex, so the last bracket before an equals sign is the call's own.
  const [, args, result] = /^(.*)\)\s+= (\S+)/s.exec(text) ?? []
  if (args === undefined || result === undefined) return false
  call.args += args
  call.result = result
  if (result !== '?') call.end = at
  return true
}

/** A string as `-xx` writes it. */
function bytesOf(escaped: string): Buffer {
  const bytes = Buffer.from(escaped.replaceAll('\\x', ''), 'hex')
  if (bytes.length * 4 !== escaped.length) throw new Error('Trace: a string that is not all hex')
  return bytes
}

/** All strings among arguments, in order: one for a write, one a piece for a vectored write. */
function stringsOf(args: string): Buffer[] {
  if (/"\.\.\.|\.\.\.\]/.test(args)) throw new Error('Trace: strace has left something out')
  return [...args.matchAll(/"([^"]*)"/g)].map((match) => bytesOf(match[1] as string))
}

/** The file by the numbers it has in one process, whose threads share them; `at` is where a plain write goes. */
type Table = Map<number, { readonly durable: boolean; at: number }>

/** The events that matter to the file at `path`. Throws at a call on it that is not followed here. */
export function eventsOf(trace: string, path: string): Event[] {
  const calls = callsOf(trace)
  const processOf = processes(calls)
  const tables = new Map<string, Table>()
  const events: Event[] = []
  for (const call of calls) {
    const process = processOf(call.pid)
    const table: Table = tables.get(process) ?? new Map()
    tables.set(process, table)
    const event = follow(call, process, table, path)
    if (event !== undefined) events.push(event)
  }
  return events
}

/** Which process a thread belongs to. */
function processes(calls: readonly Call[]): (pid: string) => string {
  const ownerOf = new Map<string, string>()
  for (const { name, args, result, pid } of calls) {
    if (name.startsWith('clone') && args.includes('CLONE_THREAD')) ownerOf.set(result, pid)
  }
  const processOf = (pid: string): string => {
    const owner = ownerOf.get(pid)
    return owner === undefined ? pid : processOf(owner)
  }
  return processOf
}

function follow(call: Call, process: string, table: Table, path: string): Event | undefined {
  const { name, args, result } = call
  const span = { process, start: call.start, end: call.end }
  const fd = Number(/^\d+/.exec(args)?.[0] ?? -1)
  const file = table.get(fd)
  if (name === 'openat') {
    const [opened] = stringsOf(args)
    if (opened?.toString() === path && /^\d+$/.test(result)) {
      table.set(Number(result), { durable: /O_D?SYNC/.test(args), at: 0 })
    }
  } else if (name === 'write' && fd === 1) {
    return { kind: 'ack', ...span, line: stringsOf(args).join('') }
  } else if (file === undefined) {
    // Another file's, or none's.
  } else if (name === 'close') {
    table.delete(fd)
  } else if (name === 'lseek' && args.endsWith('SEEK_SET')) {
    file.at = Number(result)
  } else if (name === 'pwrite64' || name === 'write' || name === 'writev') {
    return { kind: 'write', ...span, durable: file.durable, ...written(call, file) }
  } else if (name === 'fdatasync' || name === 'fsync') {
    // One that failed, or whose process was killed, promises nothing.
    return result === '0' ? { kind: 'sync', ...span } : undefined
  } else throw new Error(`Trace: ${name}(${args.slice(-100)}) = ${result} is not followed`)
  return undefined
}

/** Where a write went and what of it was taken; all of it if the call was never seen to end. */
function written({ name, args, result }: Call, file: { at: number }): { offset: number; bytes: Buffer } {
  const bytes = Buffer.concat(stringsOf(args))
  const length = result === '?' ? bytes.length : Number(result)
  if (!(length >= 0)) throw new Error(`Trace: ${name} failed: ${result}`)
  const offset = name === 'pwrite64' ? Number(args.slice(args.lastIndexOf(',') + 1)) : file.at
  if (name !== 'pwrite64') file.at += length
  return { offset, bytes: bytes.subarray(0, length) }
}
