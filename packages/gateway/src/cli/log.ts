/** Logs: JSON lines on stderr, pretty when stderr is a terminal. Never a key, a credential, a prompt or an answer. */

import type { OnceEvent } from 'oncekey/http'
import { type Logger, pino } from 'pino'
import pretty from 'pino-pretty'

/** The program's logger. */
export function createLog(): Logger {
  const options = { base: { pid: process.pid }, level: 'info' }
  if (process.stderr.isTTY) return pino(options, pretty({ destination: 2, colorize: true, ignore: 'hostname' }))
  return pino(options, pino.destination({ fd: 2, sync: true }))
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
