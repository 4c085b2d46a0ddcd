/** Logs: JSON lines on stderr, pretty when stderr is a terminal. Never a key, a credential, a prompt or an answer. */

import type { OnceEvent } from 'oncekey/http'
import { type Logger, pino } from 'pino'
import pretty from 'pino-pretty'
import type { RequestLine } from '../server/index.ts'

/** Lines are gathered up to this many bytes, and for this long: a write to the system costs more than what it writes. */
const gatheredBytes = 8 * 1024
const gatheredMs = 200

/** As pino numbers it. */
const informationLevel = 30

/** The program's log. */
export interface Log {
  readonly log: Logger
  /** A line about a request; undefined where the level leaves them out. */
  readonly request: ((line: RequestLine) => void) | undefined
}

/** Opens the log. What is more than information is written at once, and all of it when the process ends. */
export function createLog(level: 'error' | 'warn' | 'info'): Log {
  const options = { base: { pid: process.pid }, level }
  if (process.stderr.isTTY) {
    const log = pino(options, pretty({ destination: 2, colorize: true, ignore: 'hostname' }))
    return { log, request: level === 'info' ? (line) => log.info(line) : undefined }
  }
  const lines = pino.destination({ fd: 2, sync: true, minLength: gatheredBytes, periodicFlush: gatheredMs })
  process.on('exit', () => lines.flushSync())
  const destination = {
    // pino tells the level of each line to a stream with this mark.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(line: string) {
      lines.write(line)
      if (this.lastLevel > informationLevel) lines.flushSync()
    },
  }
  const log = pino(options, destination)
  // The same line in half the time that pino takes for it: one a request is nearly all that is ever written.
  const own = `,"pid":${process.pid},`
  const request = (line: RequestLine): void => {
    lines.write(`{"level":${informationLevel},"time":${Date.now()}${own}${JSON.stringify(line).slice(1)}\n`)
  }
  return { log, request: level === 'info' ? request : undefined }
}

/** What the reader of a log at 3 a.m. wants to know; the everyday events are left to metrics. */
export function logEvent(log: Logger, event: OnceEvent): void {
  switch (event.kind) {
    case 'granted':
      if (event.by === 'takeover')
        log.warn({ recordId: event.recordId, attempt: event.attempt }, 'took over an abandoned request')
      return
    case 'settled':
      if (event.as === 'unknown')
        log.error({ recordId: event.recordId }, 'the outcome of a request is unknown; it will not be run again')
      return
    case 'abandoned':
      return log.error({ recordId: event.recordId }, 'a request was abandoned by its process; its outcome is unknown')
    case 'superseded':
      return log.warn({ recordId: event.recordId }, 'another attempt recorded its outcome first')
    case 'unrecorded':
      return log.error({ recordId: event.recordId }, 'the store is away: an answer went out unrecorded')
    case 'bypassed':
      return log.warn({ recordId: event.recordId }, 'the store is away: a request ran unprotected (--fail-open)')
    case 'undecipherable':
      return log.error(
        { recordId: event.recordId, ...(event.missingKey === undefined ? {} : { key: event.missingKey }) },
        event.missingKey === undefined
          ? 'a recorded answer fails its authentication: the store was altered'
          : 'a recorded answer is encrypted with a key that this process does not have',
      )
    case 'lost':
      return log.warn({ recordId: event.recordId, reason: event.reason }, 'a running request lost its lease')
    case 'store_failed':
      return log.error(
        { call: event.call, reason: event.error instanceof Error ? event.error.message : String(event.error) },
        'a store call failed',
      )
    case 'swept':
      if (event.abandoned > 0)
        log.error({ count: event.abandoned }, 'requests were abandoned by their process; their outcome is unknown')
      return
    default:
      return
  }
}
