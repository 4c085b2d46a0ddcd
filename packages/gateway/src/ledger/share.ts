/** The most that a tenant keeps, and what one is told who has it. */
import { IdempotencyError } from 'oncekey/http'

/** Undefined: as much as there is room for. */
export interface Share {
  readonly records: number | undefined
  /** Of the bodies of records. */
  readonly bytes: number | undefined
}

/** Outcomes that expire together, or before. */
export interface Heap {
  /** Epoch ms; the last of them is gone by then. */
  readonly endMs: number
  readonly records: number
  readonly bytes: number
}

/** A client that retries by itself does so within a minute (http.md, Answers); whoever has to wait for longer is told to stop. */
const soonMs = 60_000

/** The refusal of one who keeps as much as he may, or more; undefined where there is room. Heaps may be over already. */
export function overShare(share: Share, heaps: readonly Heap[], nowMs: number): IdempotencyError | undefined {
  const over = (['records', 'bytes'] as const)
    .map((what) => ({ what, freeMs: freeMs(what, share[what], heaps, nowMs) }))
    .sort((a, b) => b.freeMs - a.freeMs)[0]
  if (over === undefined || over.freeMs <= 0) return undefined
  const kept = over.what === 'records' ? 'recorded outcomes' : 'bytes of recorded outcomes'
  const sentence = `Your share of this gateway, ${share[over.what]} ${kept}, is taken. Nothing was executed; what is recorded is still answered. Send new requests in ${inWords(over.freeMs)}, when some of it has expired or ended.`
  return new IdempotencyError('quota_exceeded', sentence, {
    retryable: over.freeMs <= soonMs,
    retryAfterMs: over.freeMs,
  })
}

/** How long until there is less than the most; 0 or less where there is. */
function freeMs(what: keyof Share, most: number | undefined, heaps: readonly Heap[], nowMs: number): number {
  if (most === undefined) return 0
  let left = heaps.reduce((sum, heap) => sum + heap[what], 0)
  if (left < most) return 0
  let freeMs = 0
  for (const heap of [...heaps].sort((a, b) => a.endMs - b.endMs)) {
    if (left < most) break
    left -= heap[what]
    freeMs = heap.endMs - nowMs
  }
  return freeMs
}

/** Rounded up, so that nobody comes too early. */
function inWords(ms: number): string {
  const units = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
  ] as const
  const [unitMs, unit] = units.find(([unitMs]) => ms > 2 * unitMs) ?? [1_000, 's']
  return `${Math.ceil(ms / unitMs)} ${unit}`
}
