/** Records as they come out of the database. */
import { unreadable } from '../../core/errors.ts'
import type { IdempotencyRecord } from '../../core/record.ts'
import type { Cell } from './database.ts'

/** How many texts `record_text` joined in the first schema; later ones add some at the end (migrations/0003/records.ts). */
const fields = 22

/** The record of a joined text and its head, or undefined where there is none. */
export function recordOf(joined: Cell | undefined, head: Cell | undefined): IdempotencyRecord | undefined {
  if (joined === null || joined === undefined) return undefined
  const cells = joined.split('\x1f')
  if (cells.length < fields) throw unreadable()
  const outcome = cells[13]
  return {
    state: cells[0],
    attemptId: cells[1],
    fence: Number(cells[2]),
    attempt: Number(cells[3]),
    leaseUntil: Number(cells[4]),
    onAbandoned: cells[5],
    dispatched: cells[6] === 't',
    dropped: cells[7] === 't',
    recovering: cells[8] === 't',
    resolved: cells[9] === 't',
    fingerprint: cells[10],
    rawFingerprint: cells[11],
    head: bytesOf(head),
    bodyLength: Number(cells[12]),
    outcome: outcome === '' ? undefined : outcome,
    outcomeDigest: cells[14],
    retryAt: Number(cells[15]),
    createdAt: Number(cells[16]),
    settledAt: Number(cells[17]),
    outcomeExpiresAt: Number(cells[18]),
    tombstoneExpiresAt: Number(cells[19]),
    retentionMs: Number(cells[20]),
    tombstoneMs: Number(cells[21]),
    steps: cells[22] === 't',
  } as IdempotencyRecord
}

/** The bytes of a cell that was printed by `encode(…, 'hex')`; undefined for null. */
export function bytesOf(hex: Cell | undefined): Uint8Array | undefined {
  return hex === null || hex === undefined ? undefined : Buffer.from(hex, 'hex')
}
