/** A streamed outcome while it runs: chunks are appended in order, readers follow from any offset, settle seals it. */
import type { Attempt, End, Settled } from './attempt.ts'
import { type Clock, sleep, type Timer } from './clock.ts'
import type { Hasher } from './digest.ts'
import { limits } from './policy.ts'
import { RecordingReader, type StreamReader } from './reader.ts'
import { inlineBodyBytes, type Piece } from './store.ts'
import { Window } from './window.ts'

/** What a recording needs. */
export interface RecordingParts {
  readonly attempt: Attempt
  readonly clock: Clock
  readonly hasher: Hasher
  /** Encoded head, written as progress so that followers in other processes can answer. */
  readonly head: Uint8Array
  /** Past this capture stops and the outcome is `omitted`. */
  readonly maxBytes: number
  /** A piece of a body as the store has it, for readers that fell behind the window. */
  readonly readBack: (offset: number) => Promise<readonly Uint8Array[]>
  /** The upstream may go on after `push` answered false. */
  readonly onResume: () => void
}

/** The recording of one attempt's body. The upstream pushes, the store keeps, readers pull. */
export class Recording {
  readonly head: Uint8Array
  /** What the adapter keeps with the outcome; there once it has settled. */
  note: unknown
  readonly readBack: (offset: number) => Promise<readonly Uint8Array[]>
  /** Bytes pushed so far. */
  length = 0
  readonly window: Window = new Window()
  readonly clock: Clock
  readonly #parts: RecordingParts
  readonly #readers = new Set<RecordingReader>()
  #owner: RecordingReader | undefined
  #holdAt = Number.POSITIVE_INFINITY
  #state: 'open' | 'sealed' | 'cut' = 'open'
  #appended = 0
  /** Sent and not answered: it may be there, and a longer piece in its place would then be refused (S10). */
  #unanswered: Uint8Array | undefined
  #headWritten = false
  #flushing: Promise<void> | undefined
  #gather: Timer | undefined
  #dropped = false
  #paused = false
  #closing = false

  constructor(parts: RecordingParts) {
    this.#parts = parts
    this.clock = parts.clock
    this.head = parts.head
    this.readBack = parts.readBack
    // Followers elsewhere need the head even when no byte comes for a while.
    this.#schedule(0)
    parts.attempt.onLost((reason) => {
      if (reason === 'superseded' || reason === 'cancelled') this.cut()
      else if (reason === 'lease_lost' && this.length - this.#appended >= limits.appendBacklogBytes) this.drop()
    })
  }

  get state(): 'open' | 'sealed' | 'cut' {
    return this.#state
  }

  get dropped(): boolean {
    return this.#dropped
  }

  get readers(): number {
    return this.#readers.size
  }

  /** What readers may have: all of it once sealed, before that only up to the hold. */
  get visible(): number {
    return this.#state === 'sealed' ? this.length : Math.min(this.length, this.#holdAt)
  }

  /** Bytes from here on reach no reader before they are recorded: the terminator, or the last of a known length. */
  hold(offset: number): void {
    this.#holdAt = Math.min(this.#holdAt, offset)
  }

  /** More of the body. False asks the upstream to pause until `onResume`. The bytes are kept, not copied. */
  push(bytes: Uint8Array): boolean {
    this.window.push({ offset: this.length, bytes })
    this.length += bytes.length
    if (this.length > this.#parts.maxBytes) this.drop()
    if (!this.#dropped) this.#schedule(bytes.length)
    this.wakeAll()
    this.trim()
    this.#paused = this.#mustPause()
    return !this.#paused
  }

  /** A reader from an offset. The first one is the request's own caller, whose pace counts once capture is dropped. */
  reader(from = 0): StreamReader {
    const reader = new RecordingReader(this, from)
    this.#owner ??= reader
    this.#readers.add(reader)
    return reader
  }

  /** A reader has gone or has taken bytes. */
  released(reader: RecordingReader, gone: boolean): void {
    if (gone) this.#readers.delete(reader)
    this.trim()
    this.#resume()
  }

  /** Capture stops: the store forgets the chunks, readers elsewhere are cut, later duplicates are refused. */
  drop(): void {
    if (this.#dropped || this.#state !== 'open') return
    this.#dropped = true
    this.#gather?.cancel()
    void this.#tellDropped()
  }

  /** All of it is here: append what is left, then settle with `head` and the last piece in the same step as the seal. */
  async settle(head: Uint8Array, shared: unknown): Promise<Settled> {
    const { attempt } = this.#parts
    this.#gather?.cancel()
    const drained = this.#drained()
    if (await this.#overdue(drained)) {
      void drained.then(() => attempt.settle(this.#end(head), shared))
      this.#seal()
      return { kind: 'unrecorded' }
    }
    const settled = await attempt.settle(this.#end(head), shared)
    if (settled.kind === 'superseded') this.cut()
    else this.#seal()
    return settled
  }

  /** The body broke off or belongs to nobody: every reader is cut, none ends cleanly (I10). */
  cut(): void {
    if (this.#state !== 'open') return
    this.#state = 'cut'
    this.#gather?.cancel()
    this.wakeAll()
  }

  wakeAll(): void {
    for (const reader of this.#readers) reader.wake?.()
  }

  /** Forgets chunks that the store has and every reader has passed, and the oldest beyond the window. */
  trim(): void {
    if (this.#dropped) return this.window.trim(this.#owner?.offset ?? 0)
    let passed = this.length
    for (const reader of this.#readers) passed = Math.min(passed, reader.offset)
    this.window.trim(Math.min(this.#appended, Math.max(passed, this.length - limits.windowBytes)))
  }

  #seal(): void {
    if (this.#state === 'open') this.#state = 'sealed'
    this.wakeAll()
  }

  #resume(): void {
    if (!this.#paused || this.#mustPause()) return
    this.#paused = false
    this.#parts.onResume()
  }

  #mustPause(): boolean {
    if (!this.#dropped) return this.length - this.#appended >= limits.appendBacklogBytes
    return (
      this.#owner !== undefined &&
      this.#readers.has(this.#owner) &&
      this.length - this.#owner.offset >= limits.windowBytes
    )
  }

  /** Nothing is appended any more: capture was dropped or the recording cut. */
  get #idle(): boolean {
    return this.#dropped || this.#state === 'cut'
  }

  /** Where appending stops: at the hold; at the end only what does not fit into the settle goes beyond it. */
  get #appendable(): number {
    return Math.min(this.length, Math.max(this.#holdAt, this.#closing ? this.length - inlineBodyBytes : 0))
  }

  #schedule(added: number): void {
    if (this.#flushing !== undefined || this.#closing) return
    const waiting = this.#appendable - this.#appended
    if (waiting >= limits.appendGatherBytes && added > 0) {
      this.#gather?.cancel()
      this.#gather = undefined
      this.#flush()
    } else {
      this.#gather ??= this.#parts.clock.setTimer(limits.appendGatherMs, () => this.#flush(), true)
    }
  }

  #flush(): void {
    this.#gather = undefined
    if (this.#flushing !== undefined || this.#idle) return
    this.#flushing = this.#flushOnce().finally(() => {
      this.#flushing = undefined
      this.trim()
      this.#resume()
      if (this.#appendable > this.#appended && !this.#idle) this.#schedule(1)
    })
  }

  /** One round: the head once, then at most 256 KiB. A failed call is tried again by the next round. */
  async #flushOnce(): Promise<void> {
    const { attempt, clock } = this.#parts
    try {
      if (!this.#headWritten) {
        const answer = await attempt.progress({ kind: 'head', head: this.head })
        if (answer.kind === 'fenced') return this.cut()
        this.#headWritten = true
      }
      const bytes = this.#unanswered ?? this.#unappended(inlineBodyBytes)
      if (bytes.length === 0) return
      this.#unanswered = bytes
      const answer = await attempt.append({ offset: this.#appended, bytes })
      this.#unanswered = undefined
      if (this.#dropped) return
      if (answer.kind === 'refused') return this.cut()
      // In pieces as they are appended and not event by event: a call into the hash costs more than 50 bytes of it.
      this.#parts.hasher.update(bytes)
      this.#appended += bytes.length
    } catch {
      await sleep(clock, 100)
    }
  }

  #unappended(most: number): Uint8Array {
    const until = Math.min(this.#appendable, this.#appended + most)
    return this.window.between(this.#appended, until)
  }

  #rest(): Piece {
    return { offset: this.#appended, bytes: this.#dropped ? none : this.window.between(this.#appended, this.length) }
  }

  /** Resolves when no append is under way or unanswered and what is left fits into the settle, or at the deadline. */
  async #drained(): Promise<void> {
    this.#closing = true
    const { attempt, clock } = this.#parts
    for (;;) {
      await this.#flushing
      const fits = this.#unanswered === undefined && this.length - this.#appended <= inlineBodyBytes
      if (this.#idle || fits || clock.monotonicMs() > attempt.deadlineMs) return
      this.#flush()
    }
  }

  /** What settles it; asked once. */
  #end(head: Uint8Array): End {
    const { hasher } = this.#parts
    const rest = this.#rest()
    hasher.update(rest.bytes)
    const digest = hasher.digest()
    if (!this.#dropped) return { kind: 'completed', outcome: 'response', head, rest, digest }
    return { kind: 'completed', outcome: 'omitted', head, rest: { offset: 0, bytes: none }, digest }
  }

  /** Has the store been away for as long as a caller is held? False as soon as all is appended. */
  #overdue(drained: Promise<void>): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.clock.setTimer(limits.storeBudgetMs, () => resolve(true), true)
      void drained.then(() => {
        timer.cancel()
        resolve(false)
      })
    })
  }

  async #tellDropped(): Promise<void> {
    const { attempt, clock } = this.#parts
    while (this.#state === 'open') {
      try {
        const answer = await attempt.progress({ kind: 'dropped' })
        if (answer.kind === 'fenced') this.cut()
        return
      } catch {
        await sleep(clock, 250)
      }
    }
  }
}

const none = new Uint8Array(0)
