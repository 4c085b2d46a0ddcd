/** What the store keeps for one step: a line of JSON that says what it is, and behind it the bytes it made. */
import { unreadable } from '../core/errors.ts'
import type { Fingerprint } from '../core/fingerprint.ts'
import type { StepPolicy } from '../core/step.ts'

/**
 * `begun`: the effect may have begun, written before it under any policy but `reexecute`. `cleared`: it threw, and has
 * provably done nothing. `value` and `error`: how it ended, for ever.
 */
export type StepState = 'begun' | 'cleared' | 'value' | 'error'

/** One entry. The name is in here in clear (or encrypted with it); the store sees a digest of it. */
export interface StepEntry {
  readonly state: StepState
  readonly name: string
  readonly input: Fingerprint
  readonly policy: StepPolicy
  /** Which attempt wrote it, from 1. */
  readonly attempt: number
  /** How `bytes` were made; `stream` for what came as a stream of bytes. */
  readonly codec: string
  /** Names that were asked for since the attempt's entry before this one, in order. */
  readonly asked: readonly string[]
  readonly bytes: Uint8Array
}

/** The format that this version writes: one digit in front of the JSON. */
const format = '1'
const lineFeed = 10
const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

/** An entry as bytes. */
export function encodeEntry({ bytes, ...told }: StepEntry): Uint8Array {
  const line = utf8.encode(`${format}${JSON.stringify(told)}\n`)
  const whole = new Uint8Array(line.length + bytes.length)
  whole.set(line)
  whole.set(bytes, line.length)
  return whole
}

/** The reverse. Throws `store_unavailable` for a format that this version cannot read. */
export function decodeEntry(whole: Uint8Array): StepEntry {
  const end = whole.indexOf(lineFeed)
  const line = fromUtf8.decode(whole.subarray(0, Math.max(end, 0)))
  if (!line.startsWith(`${format}{`)) throw unreadable()
  return { ...(JSON.parse(line.slice(1)) as Omit<StepEntry, 'bytes'>), bytes: whole.subarray(end + 1) }
}
