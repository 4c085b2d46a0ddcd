/** One execution: the upstream's answer is captured, settled, and only then whole in anybody's hands. */
import type { Attempt, Settled } from '../core/attempt.ts'
import type { Timer } from '../core/clock.ts'
import type { Engine } from '../core/engine.ts'
import { IdempotencyError } from '../core/errors.ts'
import { classOf, encodeHead, type EndingClass, fateOf } from '../core/outcome.ts'
import { concat, Recording } from '../core/stream.ts'
import { type StreamScanner, streamScanner } from '../providers/index.ts'
import type { Dispatch, HttpCaller, HttpRequest, UpstreamCall, UpstreamEvents, UpstreamFailure, WholeAnswer } from './caller.ts'
import { answerHeaders, fieldValue, type RawHeaders, replayHeaders } from './headers.ts'
import type { StreamDecoder } from './pump.ts'
import type { RouteOptions } from './route.ts'

/** What an execution works with. */
export interface ExecutionParts {
  readonly engine: Engine
  readonly attempt: Attempt
  readonly route: RouteOptions
  readonly request: HttpRequest
  readonly caller: HttpCaller
  /** Undoes a content coding for the scanner; undefined for one nobody knows. */
  readonly decoder: (coding: string) => StreamDecoder | undefined
  readonly report: ExecutionReport
  /** The caller is about to be refused or cut: whoever retries must find that he has no answer. */
  readonly leaving: () => Promise<void>
  /** How long an execution goes on for nobody, ms. */
  readonly drainMs: number
  /** Asked when that time is over: has somebody come elsewhere? */
  readonly wanted: () => Promise<boolean>
}

/** What an execution tells the exchange, which answers the caller. */
export interface ExecutionReport {
  /** Whole, and recorded as `settled` says. */
  whole(answer: WholeAnswer, trailers: RawHeaders, settled: Settled | undefined): void
  /** A body that goes out as it comes; `scanner` knows where its events end. */
  live(recording: Recording, head: { readonly status: number; readonly headers: RawHeaders }, scanner: StreamScanner): void
  /** A failed answer too large to keep in hand: settled already, the rest passes through. */
  passing(head: { readonly status: number; readonly headers: RawHeaders }): void
  refused(error: IdempotencyError): void
}

/** What duplicates in this process are handed. */
export type SharedAnswer = { readonly answer: WholeAnswer } | { readonly error: IdempotencyError } | undefined

/** Answers of known length up to this are handed over in one piece after settle (http.md, Order). */
const wholeBytes = 1024 * 1024
/** What follows a terminator is waited for this long. */
const afterTerminatorMs = 1_000

/** How often an execution that is to stop looks whether its last follower has gone. */
const aloneMs = 250

interface Head {
  readonly status: number
  readonly headers: RawHeaders
  readonly length: number | undefined
  /** Has the body an end of its own, a length or a last chunk? One that ends with its connection may have been cut. */
  readonly framed: boolean
  readonly class: EndingClass
  readonly retryAfterMs: number
}

/** Drives one granted attempt from dispatch to settle. */
export class Execution implements UpstreamEvents {
  readonly #parts: ExecutionParts
  readonly #chunks: Uint8Array[] = []
  #collected = 0
  #call: UpstreamCall | undefined
  #head: Head | undefined
  #recording: Recording | undefined
  #scanner: StreamScanner | undefined
  #decoder: StreamDecoder | undefined
  #trailers: RawHeaders = []
  #mode: 'waiting' | 'collect' | 'live' | 'passing' | 'over' = 'waiting'
  #afterTerminator: Timer | undefined
  /** Coded bytes are looked at one after another; the end waits for them. */
  #scanning: Promise<void> = Promise.resolve()
  #alone: Timer | undefined
  readonly #done: Promise<void>
  #resolve: () => void = () => undefined

  constructor(parts: ExecutionParts) {
    this.#parts = parts
    this.#done = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** Trailers of the upstream, once it has ended. */
  get trailers(): RawHeaders {
    return this.#trailers
  }

  /** Dispatches; resolves when the attempt is settled. */
  async run(dispatch: Dispatch): Promise<void> {
    const { attempt, caller } = this.#parts
    attempt.onLost((reason) => reason === 'cancelled' && this.#cancelled())
    this.#call = dispatch(this)
    const stopListening = caller.onLeave(() => this.#left())
    await this.#done
    stopListening()
    this.#alone?.cancel()
    this.#afterTerminator?.cancel()
  }

  head(status: number, headers: RawHeaders): void {
    const header = (name: string): string | undefined => fieldValue(headers, name)
    const length = header('content-length')
    const { class: ending, retryAfterMs } = classOf({ kind: 'response', status, header, complete: true }, this.#parts.route.classify)
    this.#head = {
      status,
      headers,
      length: length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined,
      framed: length !== undefined || /\bchunked\b/i.test(header('transfer-encoding') ?? ''),
      class: ending,
      retryAfterMs,
    }
    // A failed answer is settled before it is passed on, so nobody may join it.
    this.#mode = ending !== 'final' || this.#isWhole(this.#head) ? 'collect' : 'live'
    if (this.#mode === 'live') this.#goLive(this.#head)
  }

  data(bytes: Uint8Array): void {
    if (this.#mode === 'live') this.#capture(bytes)
    else if (this.#mode === 'collect') this.#collect(bytes)
    else if (this.#mode === 'passing') this.#pass(bytes)
  }

  end(trailers: RawHeaders): void {
    this.#trailers = trailers
    const mode = this.#mode
    if (mode === 'collect') {
      this.#mode = 'over'
      void this.#concludeWhole(true)
    } else if (mode === 'live') {
      void this.#scanning.then(() => this.#concludeLive(this.#head?.framed === true))
    } else if (mode === 'passing') {
      this.#mode = 'over'
      this.#parts.caller.end(trailers)
      this.#resolve()
    }
  }

  fail(failure: UpstreamFailure): void {
    const mode = this.#mode
    if (mode === 'waiting') {
      this.#mode = 'over'
      void this.#concludeFailure(failure)
    } else if (mode === 'collect') {
      this.#mode = 'over'
      void this.#concludeWhole(false)
    } else if (mode === 'live') {
      void this.#scanning.then(() => this.#concludeLive(false))
    } else if (mode === 'passing') {
      this.#mode = 'over'
      this.#parts.caller.cut()
      this.#resolve()
    }
  }

  #isWhole({ status, headers, length }: Head): boolean {
    if (status === 204 || status === 304) return true
    if (length === undefined || isEventStream(headers)) return false
    return length <= wholeBytes && length <= this.#parts.route.maxOutcomeBytes
  }

  #goLive(head: Head): void {
    const { engine, attempt, route, request, decoder, report } = this.#parts
    const headers = replayHeaders(head.headers, route.replayHeaders)
    const encoded = encodeHead({ kind: 'response', status: head.status, headers, stream: isEventStream(head.headers) })
    this.#recording = new Recording({
      attempt,
      clock: engine.clock,
      hasher: engine.digest.hasher(),
      head: encoded,
      maxBytes: route.maxOutcomeBytes,
      readBack: (offset) => engine.calls.readBody(attempt.recordId, attempt.attemptId, offset),
      onResume: () => this.#call?.resume(),
    })
    this.#scanner = streamScanner({ path: request.path }, { contentType: fieldValue(head.headers, 'content-type') })
    const coding = fieldValue(head.headers, 'content-encoding')?.toLowerCase()
    if (coding !== undefined && coding !== 'identity') this.#decoder = decoder(coding)
    attempt.stream(this.#recording)
    report.live(this.#recording, { status: head.status, headers: answerHeaders(head.headers) }, this.#scanner)
  }

  #capture(bytes: Uint8Array): void {
    const decoder = this.#decoder
    if (decoder === undefined) {
      this.#scanner?.push(bytes)
      this.#record(bytes, this.#scanner?.terminatorAt)
      return
    }
    // The terminator of a coded stream is found in a decoded copy; the whole coded chunk that brings it is held.
    this.#call?.pause()
    const scanned = this.#scanning.then(() => new Promise<void>((resolve) => decoder.write(bytes, (copy) => resolve(this.#look(copy)))))
    this.#scanning = scanned.then(() => {
      const terminated = this.#scanner?.terminatorAt !== undefined
      if (this.#record(bytes, terminated ? this.#recording?.length : undefined)) this.#call?.resume()
    })
  }

  #look(copy: Uint8Array | undefined): void {
    if (copy !== undefined) this.#scanner?.push(copy)
  }

  #record(bytes: Uint8Array, terminatorAt: number | undefined): boolean {
    const recording = this.#recording
    if (recording === undefined || this.#mode !== 'live') return false
    if (terminatorAt !== undefined) {
      recording.hold(terminatorAt)
      this.#afterTerminator ??= this.#parts.engine.clock.setTimer(afterTerminatorMs, () => this.#finishAfterTerminator(), true)
    }
    const length = this.#head?.length
    if (length !== undefined && recording.length + bytes.length >= length) recording.hold(recording.length)
    const room = recording.push(bytes)
    if (!room) this.#call?.pause()
    return room
  }

  /** The provider has said its last word and does not hang up. */
  #finishAfterTerminator(): void {
    if (this.#mode !== 'live') return
    this.#call?.abort()
    void this.#concludeLive(false)
  }

  async #concludeLive(clean: boolean): Promise<void> {
    const recording = this.#recording
    if (this.#mode !== 'live' || recording === undefined) return
    this.#mode = 'over'
    // A stream whose coding nobody could undo was not looked at: its clean end has to do.
    const verdict = this.#scanner?.end(clean) ?? 'truncated'
    if (verdict === 'complete') {
      await recording.settle('response', undefined)
    } else {
      await this.#endAs('indeterminate', 0, undefined)
      await this.#parts.leaving()
      recording.cut()
    }
    this.#resolve()
  }

  #collect(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    this.#collected += bytes.length
    if (this.#collected > wholeBytes) void this.#startPassing()
  }

  /** A failed answer of more than a whole one's size: settle what its head already says, then let it through. */
  async #startPassing(): Promise<void> {
    const head = this.#head
    if (head === undefined || this.#mode !== 'collect') return
    this.#mode = 'passing'
    this.#call?.pause()
    await this.#endAs(head.class, head.retryAfterMs, undefined)
    const { caller, report } = this.#parts
    if (caller.hasLeft) {
      this.#call?.abort()
      return this.#resolve()
    }
    report.passing({ status: head.status, headers: answerHeaders(head.headers) })
    caller.onDrain = () => this.#call?.resume()
    for (const chunk of this.#chunks.splice(0)) this.#pass(chunk)
    this.#call?.resume()
  }

  #pass(bytes: Uint8Array): void {
    const { caller } = this.#parts
    if (!caller.started) this.#chunks.push(bytes)
    else if (!caller.write(bytes)) this.#call?.pause()
  }

  async #concludeWhole(complete: boolean): Promise<void> {
    const { engine, route, report, attempt } = this.#parts
    const head = this.#head
    if (head === undefined) return
    const body = concat(this.#chunks, this.#collected)
    const header = (name: string): string | undefined => fieldValue(head.headers, name)
    const ending = classOf({ kind: 'response', status: head.status, header, complete }, route.classify)
    const answer = { status: head.status, headers: answerHeaders(head.headers), body }
    if (ending.class === 'final') {
      const stored = replayHeaders(head.headers, route.replayHeaders)
      const encoded = encodeHead({ kind: 'response', status: head.status, headers: stored, stream: false })
      const rest = { offset: 0, bytes: body }
      const end = { kind: 'completed', outcome: 'response', head: encoded, rest, digest: engine.digest.sha256(body) } as const
      const settled = await attempt.settle(end, { answer: { ...answer, headers: stored } } satisfies SharedAnswer)
      report.whole(answer, this.#trailers, settled)
    } else if (complete) {
      const settled = await this.#endAs(ending.class, ending.retryAfterMs, { answer })
      report.whole(answer, this.#trailers, settled?.kind === 'superseded' ? settled : undefined)
    } else {
      const cause = new Error('the answer broke off')
      return this.#concludeFailure({ code: 'upstream_unreachable', sent: true, cause })
    }
    this.#resolve()
  }

  async #concludeFailure(failure: UpstreamFailure): Promise<void> {
    const { route, report, attempt } = this.#parts
    const ending = classOf({ kind: 'failed', sent: failure.sent, cause: failure.cause }, route.classify)
    const fate = fateOf(ending.class, attempt.policy.onAbandoned)
    const error = failureError(failure, ending.class, fate)
    await this.#endAs(ending.class, ending.retryAfterMs, { error })
    await this.#parts.leaving()
    report.refused(error)
    this.#resolve()
  }

  /** Ends the attempt by class and policy, without an outcome. */
  async #endAs(ending: EndingClass, retryAfterMs: number, shared: SharedAnswer): Promise<Settled | undefined> {
    const { attempt } = this.#parts
    const fate = fateOf(ending === 'final' ? 'indeterminate' : ending, attempt.policy.onAbandoned)
    if (fate === 'unknown') return attempt.settle({ kind: 'unknown', digest: 'unknown' }, shared)
    if (fate !== 'lapse') return attempt.settle({ kind: 'released', retryAfterMs, digest: 'released' }, shared)
    attempt.lapse()
    return undefined
  }

  #cancelled(): void {
    if (this.#mode === 'over') return
    this.#mode = 'over'
    this.#call?.abort()
    this.#recording?.cut()
    this.#parts.report.refused(new IdempotencyError('superseded', 'The operation was ended by an operator.'))
    this.#resolve()
  }

  /** The caller hung up: read on for the retry, or stop when nobody is left. */
  #left(): void {
    if (this.#mode === 'over') return
    if (this.#parts.route.onDisconnect === 'abort') void this.#stopIfAlone()
    else this.#watch(this.#parts.drainMs)
  }

  #watch(delayMs: number): void {
    this.#alone = this.#parts.engine.clock.setTimer(delayMs, () => void this.#stopIfAlone(), true)
  }

  async #stopIfAlone(): Promise<void> {
    const { route, attempt, wanted, drainMs } = this.#parts
    const drains = route.onDisconnect === 'drain'
    const here = (this.#recording?.readers ?? 0) > 0 || attempt.waiters > 0
    const stays = here || (drains && (await wanted()))
    if (this.#mode === 'over') return
    if (stays) return this.#watch(drains ? drainMs : aloneMs)
    this.#call?.abort()
    this.fail({ code: 'upstream_unreachable', sent: true, cause: new Error('nobody waits for the answer any more') })
  }
}

function isEventStream(headers: RawHeaders): boolean {
  return /^\s*text\/event-stream\b/i.test(fieldValue(headers, 'content-type') ?? '')
}

function failureError(failure: UpstreamFailure, ending: EndingClass, fate: ReturnType<typeof fateOf>): IdempotencyError {
  const what = failure.code === 'upstream_timeout' ? 'The upstream did not answer in time' : failure.sent ? 'The connection to the upstream broke' : 'The upstream could not be reached'
  const mayHaveRun = ending !== 'not_executed'
  const consequence = {
    released: mayHaveRun
      ? 'the request may have been executed, and by the policy of this route a retry executes it again'
      : 'the request was not executed; a retry with the same key executes it',
    unknown: 'the request may have been executed, so a retry with the same key will not run it again; an operator has to resolve the record',
    lapse: 'the request may have been executed; the next attempt asks the provider first',
    completed: 'the failure is recorded as the outcome',
  }[fate]
  return new IdempotencyError(failure.code, `${what}; ${consequence}.`, { retryable: fate !== 'unknown', mayHaveRun, cause: failure.cause })
}
