/** One execution: the upstream's answer is captured, settled, and only then whole in anybody's hands. */
import type { Attempt, Settled } from '../core/attempt.ts'
import type { Engine } from '../core/engine.ts'
import { IdempotencyError } from '../core/errors.ts'
import type { Recording } from '../core/stream.ts'
import { concat } from '../core/window.ts'
import type { StreamScanner } from '../providers/index.ts'
import type { Account } from './account.ts'
import type { HttpCaller, HttpRequest, UpstreamCall, UpstreamEvents, UpstreamFailure, WholeAnswer } from './caller.ts'
import { Conclusion } from './conclusion.ts'
import { Drain } from './drain.ts'
import { type Head, headOf, isEventStream } from './ending.ts'
import { answerHeaders, type RawHeaders } from './headers.ts'
import { LiveCapture } from './live.ts'
import type { Codings } from './replay.ts'
import type { RouteOptions } from './route.ts'

/** What an execution works with. */
export interface ExecutionParts {
  readonly engine: Engine
  readonly attempt: Attempt
  readonly route: RouteOptions
  readonly request: HttpRequest
  readonly caller: HttpCaller
  readonly codings: Codings
  readonly account: Account | undefined
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
  live(
    recording: Recording,
    head: { readonly status: number; readonly headers: RawHeaders },
    scanner: StreamScanner,
  ): void
  /** A failed answer too large to keep in hand: settled already, the rest passes through. */
  passing(head: { readonly status: number; readonly headers: RawHeaders }): void
  refused(error: IdempotencyError): void
}

/** Answers of known length up to this are handed over in one piece after settle (http.md, Order). */
const wholeBytes = 1024 * 1024

/** Drives one granted attempt from dispatch to settle. */
export class Execution implements UpstreamEvents {
  readonly #parts: ExecutionParts
  readonly #chunks: Uint8Array[] = []
  #collected = 0
  #call: UpstreamCall | undefined
  #head: Head | undefined
  #live: LiveCapture | undefined
  #trailers: RawHeaders = []
  #mode: 'waiting' | 'collect' | 'live' | 'passing' | 'over' = 'waiting'
  readonly #conclusion: Conclusion
  readonly #drain: Drain
  readonly #done: Promise<void>
  #resolve: () => void = () => undefined

  constructor(parts: ExecutionParts) {
    this.#parts = parts
    const { attempt, caller, codings, account, drainMs, engine, route, wanted } = parts
    const { digest } = engine
    this.#conclusion = new Conclusion({ digest, attempt, route, caller, decode: codings.decode, account })
    this.#drain = new Drain({
      clock: engine.clock,
      onDisconnect: route.onDisconnect,
      drainMs,
      attended: () => (this.#live?.recording.readers ?? 0) > 0 || attempt.waiters > 0,
      wanted,
      stop: () => this.#stop(),
    })
    this.#done = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** Trailers of the upstream, once it has ended. */
  get trailers(): RawHeaders {
    return this.#trailers
  }

  /** Dispatches; resolves when the attempt is settled. */
  async run(dispatch: (events: UpstreamEvents) => UpstreamCall): Promise<void> {
    const { attempt, caller } = this.#parts
    attempt.onLost((reason) => reason === 'cancelled' && void this.#cancelled())
    this.#call = dispatch(this)
    const stopListening = caller.onLeave(() => this.#mode === 'over' || this.#drain.callerLeft())
    await this.#done
    stopListening()
    this.#drain.end()
  }

  head(status: number, headers: RawHeaders): void {
    const read = headOf(status, headers, this.#parts.route.classify)
    this.#head = read
    // A failed answer is settled before it is passed on, so nobody may join it.
    // What was committed is recorded already, whole: nothing of this may be.
    const collects = read.class !== 'final' || this.#parts.attempt.committing || this.#isWhole(read)
    this.#mode = collects ? 'collect' : 'live'
    if (this.#mode === 'live') this.#goLive(read)
  }

  data(bytes: Uint8Array): void {
    if (this.#mode === 'live') this.#live?.capture(bytes)
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
      void this.#concludeLive(this.#head?.framed === true)
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
      void this.#concludeLive(false)
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
    const { attempt, report } = this.#parts
    this.#live = new LiveCapture(this.#parts, head, {
      pause: () => this.#call?.pause(),
      resume: () => this.#call?.resume(),
      terminated: () => {
        // The provider has said its last word and does not hang up.
        if (this.#mode !== 'live') return
        this.#call?.abort()
        void this.#concludeLive(false)
      },
    })
    attempt.stream(this.#live.recording)
    report.live(this.#live.recording, { status: head.status, headers: answerHeaders(head.headers) }, this.#live.scanner)
  }

  async #concludeLive(clean: boolean): Promise<void> {
    const live = this.#live
    if (this.#mode !== 'live' || live === undefined) return
    this.#mode = 'over'
    const { recording, status } = live
    const kept = (): number => (recording.dropped ? 0 : recording.length)
    if (!(await live.finish(clean, (usage) => this.#conclusion.streamed(status, usage, kept())))) {
      // Settled first and cut afterwards, so that a retry never joins a dying stream.
      await this.#conclusion.truncated(status)
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
    await this.#conclusion.unkept(head)
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
    const head = this.#head
    if (head === undefined) return
    if (!complete) {
      const cause = new Error('the answer broke off')
      return this.#concludeFailure({ code: 'upstream_unreachable', sent: true, cause }, head)
    }
    const uncommitted = await this.#conclusion.committed()
    if (uncommitted !== undefined) {
      this.#parts.report.refused(uncommitted)
      return this.#resolve()
    }
    const { answer, settled } = await this.#conclusion.whole(head, concat(this.#chunks, this.#collected))
    this.#parts.report.whole(answer, this.#trailers, settled)
    this.#resolve()
  }

  async #concludeFailure(failure: UpstreamFailure, head?: Head): Promise<void> {
    const error = await this.#conclusion.failure(failure, head)
    await this.#parts.leaving()
    this.#parts.report.refused(error)
    this.#resolve()
  }

  /** An operator has ended the record already: the call is stopped, and whoever waits for it is told or cut. */
  async #cancelled(): Promise<void> {
    if (this.#mode === 'over') return
    this.#mode = 'over'
    this.#call?.abort()
    this.#conclusion.cancelled(this.#head?.status)
    await this.#parts.leaving()
    this.#live?.recording.cut()
    this.#parts.report.refused(new IdempotencyError('superseded', 'The operation was ended by an operator.'))
    this.#resolve()
  }

  /** Nobody waits any more: the call may have run, so the record ends as after any break. */
  #stop(): void {
    this.#call?.abort()
    this.fail({ code: 'upstream_unreachable', sent: true, cause: new Error('nobody waits for the answer any more') })
  }
}
