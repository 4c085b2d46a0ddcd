/** How anybody reads a stream: pull what is there, be woken when there is more, end cleanly or be cut. */
import { isUndecipherable } from './blob.ts'
import type { IdempotencyError } from './errors.ts'
import type { Recording } from './stream.ts'

/** A reader of a running or recorded body. The caller of the request is one like any follower. */
export interface StreamReader {
  /** `ended`: every byte was read and the outcome is recorded. `cut`: the bytes so far must not pass for the whole. */
  readonly state: 'open' | 'ended' | 'cut'
  /** Why it was cut, where beginning again would not help. */
  readonly refusal?: IdempotencyError | undefined
  /** Bytes read so far, from the beginning of the body. */
  readonly offset: number
  /** Called when `read` may have more, or the state has changed. */
  wake: (() => void) | undefined
  /** The next bytes at once; undefined when there are none now. */
  read(): Uint8Array | undefined
  close(): void
}

/** Reads a recording of this process: from its window, or from the store where it fell behind. */
export class RecordingReader implements StreamReader {
  wake: (() => void) | undefined
  offset: number
  readonly #recording: Recording
  readonly #fetched: Uint8Array[] = []
  #fetching = false
  #closed = false
  #lost = false

  constructor(recording: Recording, from: number) {
    this.#recording = recording
    this.offset = from
  }

  get state(): 'open' | 'ended' | 'cut' {
    if (this.#lost || this.#recording.state === 'cut') return 'cut'
    return this.#recording.state === 'sealed' && this.offset === this.#recording.length ? 'ended' : 'open'
  }

  read(): Uint8Array | undefined {
    if (this.state !== 'open' || this.#closed) return undefined
    const bytes = this.#next()
    if (bytes === undefined) return undefined
    this.offset += bytes.length
    this.#recording.released(this, false)
    return bytes
  }

  close(): void {
    this.#closed = true
    this.wake = undefined
    this.#recording.released(this, true)
  }

  #next(): Uint8Array | undefined {
    const fetched = this.#fetched.shift()
    if (fetched !== undefined) return fetched
    const recording = this.#recording
    const room = recording.visible - this.offset
    if (room <= 0) return undefined
    const bytes = recording.window.from(this.offset)
    if (bytes === undefined) {
      this.#fetch()
      return undefined
    }
    return bytes.length > room ? bytes.subarray(0, room) : bytes
  }

  /** The window has moved on: the store has what is before it, unless capture was dropped. */
  #fetch(): void {
    if (this.#fetching) return
    if (this.#recording.dropped) {
      this.#lost = true
      this.wake?.()
      return
    }
    this.#fetching = true
    this.#recording
      .readBack(this.offset)
      .then(
        (pieces) => void this.#fetched.push(...pieces),
        (error) => {
          // What was altered in the store does not get better.
          if (isUndecipherable(error)) this.#lost = true
        },
      )
      .finally(() => {
        this.#fetching = false
        // The store did not answer: a silent stream has no next push to wake us.
        if (this.#fetched.length > 0 || this.#lost) this.wake?.()
        else if (!this.#closed) this.#recording.clock.setTimer(100, () => this.wake?.(), true)
      })
  }
}
