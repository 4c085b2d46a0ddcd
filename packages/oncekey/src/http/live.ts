/** Captures a body that goes out as it comes: recorded verbatim, watched for its end, held there until it is settled. */
import type { Attempt } from '../core/attempt.ts'
import type { Timer } from '../core/clock.ts'
import type { Engine } from '../core/engine.ts'
import { encodeHead, type OutcomeHead } from '../core/outcome.ts'
import { Recording } from '../core/stream.ts'
import { type StreamScanner, streamScanner, type Usage } from '../providers/index.ts'
import type { HttpRequest } from './caller.ts'
import { type Head, isEventStream } from './ending.ts'
import { fieldValue, replayHeaders } from './headers.ts'
import type { StreamDecoder } from './pump.ts'
import type { Codings } from './replay.ts'
import type { RouteOptions } from './route.ts'

/** What a capture works with. */
export interface LiveParts {
  readonly engine: Engine
  readonly attempt: Attempt
  readonly route: RouteOptions
  readonly request: HttpRequest
  readonly codings: Codings
}

/** How the capture steers the upstream call. */
export interface LiveControl {
  pause(): void
  resume(): void
  /** The terminator has come, and the upstream has not ended for a second since. */
  terminated(): void
}

/** What follows a terminator is waited for this long. */
const afterTerminatorMs = 1_000

/** One live body. */
export class LiveCapture {
  readonly recording: Recording
  readonly scanner: StreamScanner
  readonly status: number
  readonly #parts: LiveParts
  readonly #control: LiveControl
  readonly #length: number | undefined
  readonly #head: Extract<OutcomeHead, { kind: 'response' }>
  readonly #decoder: StreamDecoder | undefined
  readonly #coded: boolean
  #afterTerminator: Timer | undefined
  /** Coded bytes are looked at one after another; the end waits for them. */
  #scanning: Promise<void> = Promise.resolve()

  constructor(parts: LiveParts, head: Head, control: LiveControl) {
    const { engine, attempt, route, request, codings } = parts
    this.#parts = parts
    this.#control = control
    this.#length = head.length
    this.status = head.status
    const headers = replayHeaders(head.headers, route.replayHeaders)
    this.#head = { kind: 'response', status: head.status, headers, stream: isEventStream(head.headers) }
    this.recording = new Recording({
      attempt,
      clock: engine.clock,
      hasher: engine.digest.hasher(),
      head: encodeHead(this.#head),
      maxBytes: route.maxOutcomeBytes,
      readBack: (offset) => engine.calls.readBody(attempt.recordId, attempt.attemptId, offset),
      onResume: () => control.resume(),
    })
    const contentType = fieldValue(head.headers, 'content-type')
    const coding = fieldValue(head.headers, 'content-encoding')?.toLowerCase()
    this.#coded = coding !== undefined && coding !== 'identity'
    this.#decoder = coding === undefined || !this.#coded ? undefined : codings.stream(coding)
    // A coding nobody here can undo hides the events: its clean end has to do.
    const readable = !this.#coded || this.#decoder !== undefined
    this.scanner = streamScanner(
      { path: request.path },
      { contentType: readable ? contentType : undefined, status: head.status },
    )
  }

  /** More of the body, as it came. */
  capture(bytes: Uint8Array): void {
    const decoder = this.#decoder
    if (decoder === undefined) {
      if (!this.#coded) this.scanner.push(bytes)
      this.#record(bytes, this.scanner.terminatorAt)
      return
    }
    // The terminator of a coded stream is found in a decoded copy; the whole coded chunk that brings it is held.
    this.#control.pause()
    const look = (): Promise<void> =>
      new Promise((resolve) => {
        decoder.write(bytes, (copy) => {
          if (copy !== undefined) this.scanner.push(copy)
          resolve()
        })
      })
    this.#scanning = this.#scanning.then(look).then(() => {
      const terminated = this.scanner.terminatorAt !== undefined
      if (this.#record(bytes, terminated ? this.recording.length : undefined)) this.#control.resume()
    })
  }

  /**
   * The upstream has ended, `clean` or not. True when the body is whole: then it is settled, whatever came of that, with
   * what `note` makes of its usage beside it.
   */
  async finish(clean: boolean, note: (usage: Usage | undefined) => unknown): Promise<boolean> {
    await this.#scanning
    this.#afterTerminator?.cancel()
    if (this.scanner.end(clean) !== 'complete') return false
    const { recording } = this
    recording.note = note(this.scanner.usage)
    const head = recording.note === undefined ? recording.head : encodeHead({ ...this.#head, note: recording.note })
    await recording.settle(head, undefined)
    return true
  }

  #record(bytes: Uint8Array, terminatorAt: number | undefined): boolean {
    const { recording } = this
    if (terminatorAt !== undefined) {
      recording.hold(terminatorAt)
      const { clock } = this.#parts.engine
      this.#afterTerminator ??= clock.setTimer(afterTerminatorMs, () => this.#control.terminated(), true)
    }
    if (this.#length !== undefined && recording.length + bytes.length >= this.#length) recording.hold(recording.length)
    const room = recording.push(bytes)
    if (!room) this.#control.pause()
    return room
  }
}
