/** Records the system calls of a workload with strace, and reads them back as events in the order they happened. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * A call began at `start` and was over at `end`, in lines of the trace; `end` is infinite if it never was.
 * A write's file is `data.mdb`. `durable` is a write that returns only when it is on the disk (O_DSYNC).
 */
export type Event =
  | {
      readonly kind: 'write'
      readonly start: number
      readonly end: number
      readonly offset: number
      readonly bytes: Buffer
      readonly durable: boolean
    }
  | { readonly kind: 'sync'; readonly start: number; readonly end: number }
  | { readonly kind: 'ack'; readonly start: number; readonly end: number; readonly line: string }

/**
 * What strace is asked to see: which file a number means, and all that LMDB may write with. What else could change the
 * file would show when the replayed writes are compared with the file that the workload left.
 */
const calls = [
  ...['openat', 'close', 'clone', 'clone3', 'execve', 'lseek', 'write', 'writev', 'pwrite64', 'pwritev', 'pwritev2'],
  ...['fdatasync', 'fsync', 'sync_file_range', 'msync', 'ftruncate', 'fallocate'],
]

/** How long every sync takes at least, in µs: as on a disk, so that commits and calls really overlap with it. */
const syncUs = 3_000

/** Runs a Node script under strace; answers the text of the trace. Throws if the script fails. */
export function record(strace: string, script: string, args: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'oncekey-trace-'))
  try {
    const log = join(folder, 'log')
    const flags = ['-f', '--seccomp-bpf', '-qq', '-v', '-xx', '-s', '100000000', '-e', 'signal=none', '-o', log]
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
  readonly args: string
  readonly result: string
  readonly start: number
  readonly end: number
}

/** The calls of a trace in the order of their beginnings; what strace tore into two lines is put together again. */
function callsOf(trace: string): Call[] {
  const found: { pid: string; name: string; args: string; result: string; start: number; end: number }[] = []
  const unfinished = new Map<string, (typeof found)[number]>()
  const lines = trace.split('\n')
  for (const [at, line] of lines.entries()) {
    if (line === '') continue
    const space = line.indexOf(' ')
    const pid = line.slice(0, space)
    const text = line.slice(space).trimStart()
    if (text.startsWith('+++') || text.startsWith('---')) continue
    if (text.startsWith('<... ')) {
      const call = unfinished.get(pid)
      const resumed = text.indexOf(' resumed>')
      if (call === undefined || text.slice(5, resumed) !== call.name)
        throw new Error(`Trace: nothing to resume: ${line}`)
      unfinished.delete(pid)
      Object.assign(call, ending(text.slice(resumed + ' resumed>'.length), call.args), { end: at })
      continue
    }
    const open = text.indexOf('(')
    if (open < 0 || !/^\w+$/.test(text.slice(0, open))) throw new Error(`Trace: not a call: ${line.slice(0, 200)}`)
    const call = { pid, name: text.slice(0, open), args: '', result: '?', start: at, end: Number.POSITIVE_INFINITY }
    found.push(call)
    const rest = text.slice(open + 1)
    if (rest.endsWith(' <unfinished ...>')) {
      call.args = rest.slice(0, -' <unfinished ...>'.length)
      unfinished.set(pid, call)
    } else Object.assign(call, ending(rest, ''), { end: at })
  }
  return found
}

/** What follows the arguments: `) = result`. Hex escapes keep brackets out of strings, so the last one is the call's. */
function ending(text: string, before: string): { args: string; result: string } {
  const split = /^(.*)\)\s+= (\S+)/s.exec(text)
  if (split === null) throw new Error(`Trace: no result: ${text.slice(0, 200)}`)
  return { args: before + split[1], result: split[2] as string }
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
    const event = follow(call, table, path)
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

function follow(call: Call, table: Table, path: string): Event | undefined {
  const { name, args, result, start, end } = call
  const fd = Number(/^\d+/.exec(args)?.[0] ?? -1)
  const file = table.get(fd)
  if (name === 'openat') {
    const [opened] = stringsOf(args)
    if (opened?.toString() === path && /^\d+$/.test(result)) {
      table.set(Number(result), { durable: /O_D?SYNC/.test(args), at: 0 })
    }
  } else if (name === 'write' && fd === 1) {
    return { kind: 'ack', start, end, line: stringsOf(args).join('') }
  } else if (file === undefined) {
    // Another file's, or none's.
  } else if (name === 'close') {
    table.delete(fd)
  } else if (name === 'lseek' && args.endsWith('SEEK_SET')) {
    file.at = Number(result)
  } else if (name === 'pwrite64' || name === 'write' || name === 'writev') {
    return { kind: 'write', start, end, durable: file.durable, ...written(call, file) }
  } else if ((name === 'fdatasync' || name === 'fsync') && result === '0') {
    return { kind: 'sync', start, end }
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
