/** Key → claim → execute or replay, join, refuse: the one way through which every operation goes. */
import { Attempt, type AttemptHome } from './attempt.ts'
import { base64url } from './base64url.ts'
import { disown, withinBudget } from './budget.ts'
import { StoreCalls } from './calls.ts'
import type { Clock } from './clock.ts'
import type { Digest } from './digest.ts'
import { Hinted } from './hint.ts'
import { type Instrument, Watch } from './instrument.ts'
import * as judge from './judge.ts'
import type { RecordId } from './key.ts'
import { type EncryptionParts, encryptedWhereAsked } from './late-store.ts'
import { LeaseKeeper } from './lease.ts'
import { type Asked, claimOf } from './operation.ts'
import { jittered, outcomeOf, Patience } from './patience.ts'
import { loadPepper } from './pepper.ts'
import { limits } from './policy.ts'
import type { Random } from './random.ts'
import type { AttemptId, IdempotencyRecord } from './record.ts'
import { type StepsOf, stepping } from './step.ts'
import type { ClaimAnswer, ClaimRequest, GrantedBy } from './store.ts'
import type { Recording } from './stream.ts'
import { Sweeper } from './sweep.ts'
import { type Live, type LiveNews, Lives } from './wait.ts'

/** What an engine is made of. */
export interface EngineParts extends EncryptionParts {
  readonly clock: Clock
  /** Margin of the sweeper, ms; that of a claim comes with its policy. */
  readonly skewMs: number
  /** 32 bytes; else the store keeps one. */
  readonly pepper?: Uint8Array
  /** Undefined where operations have no steps: the gateway. */
  readonly steps?: StepsOf
}

/** What came of asking for an operation. `joined` tells a wait or a shared execution from a plain replay. */
export type Begun =
  | { readonly kind: 'granted'; readonly by: GrantedBy | 'yours'; readonly attempt: Attempt }
  | {
      readonly kind: 'recorded'
      readonly record: IdempotencyRecord
      readonly body: Uint8Array | undefined
      readonly joined: boolean
    }
  /** An execution of this process ended while we waited for it. */
  | {
      readonly kind: 'shared'
      readonly as: 'completed' | 'released'
      readonly shared: unknown
      readonly recorded: boolean
    }
  /** A stream that runs in this process, or in another one. */
  | { readonly kind: 'streaming'; readonly recording: Recording }
  | { readonly kind: 'following'; readonly record: IdempotencyRecord }
  /** The store is away and the operation may run unprotected. */
  | { readonly kind: 'bypassed' }
  /** The caller left while it waited. */
  | { readonly kind: 'left' }

type Granted = Extract<Begun, { kind: 'granted' }>
type GrantedAnswer = Extract<ClaimAnswer, { kind: 'granted' | 'yours' }>

interface Ask {
  readonly request: ClaimRequest
  /** When the first call that may have been granted was sent, monotonic ms. */
  sentMs: number
  /** A call failed: it may yet be granted, and then nobody would own it. */
  failed: boolean
}

/** One store, one process: claims, waits, leases and the sweeper. */
export class Engine {
  readonly calls: StoreCalls
  readonly clock: Clock
  readonly random: Random
  readonly digest: Digest
  readonly #lives = new Lives()
  readonly #home: AttemptHome
  readonly #watch: Watch
  readonly #sweeper: Sweeper
  #working = 0
  #idle: (() => void) | undefined
  readonly #given: Uint8Array | undefined
  #loading: Promise<Uint8Array> | undefined
  #pepper: Uint8Array | undefined

  constructor(parts: EngineParts) {
    this.clock = parts.clock
    this.random = parts.random
    this.digest = parts.digest
    this.#watch = new Watch(parts.observer)
    this.calls = new StoreCalls(encryptedWhereAsked(parts), parts.clock, this.#watch)
    const keeper = new LeaseKeeper((leases) => this.calls.renew(leases), parts.clock)
    const { calls, clock, digest } = this
    const steps = stepping(parts.steps, () => ({ calls, clock, digest, pepper: this.#pepper }))
    this.#home = { calls: this.calls, clock: parts.clock, lives: this.#lives, keeper, watch: this.#watch, steps }
    this.#sweeper = new Sweeper(this.calls, parts.clock, parts.random, parts.skewMs, this.#watch)
    this.#given = parts.pepper
    this.#sweeper.start()
  }

  /** The pepper of the store; rejects when this process was given another one, or the store is away. */
  ready(): Uint8Array | Promise<Uint8Array> {
    if (this.#pepper !== undefined) return this.#pepper
    this.#loading ??= this.#load()
    return this.#loading
  }

  async #load(): Promise<Uint8Array> {
    try {
      this.#pepper = await loadPepper(this.calls, this.digest, this.random, this.#given)
      return this.#pepper
    } finally {
      // A store that was away at the first call is asked again at the next.
      this.#loading = undefined
    }
  }

  /** Claims, waits or joins. Throws IdempotencyError for every refusal. */
  async begin(asked: Asked): Promise<Begun> {
    const deadlineMs = this.clock.monotonicMs() + asked.policy.waitMs
    const patience = new Patience(this.#lives, this.clock, this.#watch, asked.recordId)
    try {
      for (let waited = false; ; waited = true) {
        const live = this.#lives.get(asked.recordId)
        const begun =
          live === undefined
            ? await this.#lead(asked, deadlineMs, waited, patience)
            : await this.#attend(live, asked, deadlineMs, patience)
        if (begun !== undefined) return begun
        if (this.clock.monotonicMs() >= deadlineMs && waited) throw judge.inProgress(asked.recordId, asked.policy)
      }
    } catch (error) {
      throw patience.refused(error)
    } finally {
      patience.over()
    }
  }

  /** Puts an instrument around all that is asked from now on. Throws `config_invalid` where one is there already. */
  observe(instrument: Instrument): void {
    this.#watch.add(instrument)
    instrument.begin?.(() => this.load)
  }

  /** Who stands around operations; undefined where nobody does. */
  get instrument(): Instrument | undefined {
    return this.#watch.instrument
  }

  /** Asks the store at once whether this process still owns what it runs: an operator may have ended some of it. */
  renewNow(): void {
    this.#home.keeper.renewNow()
  }

  /** How many executions run in this process, and how many requests wait for one. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.#working, waiting: this.#lives.waiting }
  }

  /** Counts work that `close` waits for. */
  track<T>(work: Promise<T>): Promise<T> {
    this.#working += 1
    const done = (): void => {
      this.#working -= 1
      if (this.#working === 0) this.#idle?.()
    }
    work.then(done, done)
    return work
  }

  /** Stops the sweeper, tells running work, and waits for it; the store stays open. */
  async close(): Promise<void> {
    this.#sweeper.stop()
    this.#home.keeper.shutdown()
    if (this.#working === 0) return
    await new Promise<void>((resolve) => {
      this.#idle = resolve
    })
  }

  /** Nobody in this process is asking for the record: claim it, and poll while another process runs it. */
  async #lead(asked: Asked, deadlineMs: number, waited: boolean, patience: Patience): Promise<Begun | undefined> {
    const live = this.#lives.open(asked.recordId)
    const ask: Ask = {
      request: claimOf(asked, base64url(this.random.bytes(16)) as AttemptId),
      sentMs: 0,
      failed: false,
    }
    let hinted: Hinted | undefined
    let closed = false
    const close = (news: LiveNews): void => {
      closed = true
      this.#lives.close(asked.recordId, live, news)
    }
    try {
      for (
        let pauseMs: number = limits.pollFirstMs, polled = waited;
        ;
        pauseMs = Math.min(pauseMs * limits.pollGrowth, limits.pollCapMs)
      ) {
        const answer = await this.#claim(ask)
        if (answer.kind === 'granted' || answer.kind === 'yours') {
          closed = true
          const granted = this.#granted(answer, live, asked, ask.sentMs)
          const isLate = this.clock.monotonicMs() >= granted.attempt.deadlineMs
          return isLate && !(await (await import('./late-claim.ts')).stillHolds(this, granted.attempt))
            ? undefined
            : granted
        }
        if (answer.kind === 'held' && judge.isAbandonment(answer))
          this.#watch.observer?.({ kind: 'abandoned', recordId: asked.recordId })
        // Judged by everybody for himself: what is a mismatch for one may be the original for another.
        if (answer.kind === 'held' && judge.isFinal(answer, asked)) close({ kind: 'answer', answer, waited: polled })
        const begun = judge.answer(answer, asked, polled)
        if (begun !== undefined) return begun
        if (asked.caller?.hasLeft) return { kind: 'left' }
        const leftMs = deadlineMs - this.clock.monotonicMs()
        if (leftMs <= 0) throw judge.inProgress(asked.recordId, asked.policy)
        polled = true
        hinted ??= new Hinted(this.calls.store, asked.recordId, this.clock)
        const waiting = hinted.pause.bind(hinted, Math.min(leftMs, jittered(this.random, pauseMs)))
        await patience.wait(live, waiting)
      }
    } catch (error) {
      if (ask.failed) {
        close({ kind: 'failed', error })
        if (asked.policy.failOpen) {
          this.#watch.observer?.({ kind: 'bypassed', recordId: asked.recordId })
          return { kind: 'bypassed' }
        }
      }
      throw error
    } finally {
      hinted?.stop()
      if (!closed) close({ kind: 'again' })
      if (ask.failed && live.granted === undefined) void disown(this, ask.request, ask.sentMs)
    }
  }

  /** Somebody in this process owns the record or is asking for it: wait for news. */
  async #attend(live: Live, asked: Asked, deadlineMs: number, patience: Patience): Promise<Begun | undefined> {
    if (live.granted !== undefined) judge.sameRequest(live.granted, asked)
    const wants = (news: LiveNews): boolean => {
      if (news.kind === 'granted') return !judge.matches(news.record, asked)
      return news.kind !== 'streaming' || asked.joinStreams
    }
    const news = await patience.wait(live, () => live.next(wants, deadlineMs, this.clock, asked.caller))
    // The claim may have been granted while we waited, to a request that is not ours.
    if (live.granted !== undefined) judge.sameRequest(live.granted, asked)
    switch (news.kind) {
      case 'again':
      case 'granted':
        return undefined
      case 'failed':
        if (asked.policy.failOpen) return { kind: 'bypassed' }
        throw news.error
      case 'answer':
        return judge.answer(news.answer, asked, news.waited)
      case 'ended':
        return { kind: 'shared', as: news.as, shared: news.shared, recorded: news.recorded }
      case 'streaming':
        if (news.recording.dropped) throw judge.notReplayable(asked.recordId)
        return { kind: 'streaming', recording: news.recording }
      case 'left':
        return { kind: 'left' }
      case 'timeout':
        throw judge.inProgress(asked.recordId, asked.policy)
    }
  }

  #granted(answer: GrantedAnswer, live: Live, asked: Asked, sentMs: number): Granted {
    const { record } = answer
    const by = answer.kind === 'granted' ? answer.by : 'yours'
    this.#watch.observer?.({ kind: 'granted', recordId: asked.recordId, by, attempt: record.attempt })
    const attempt = new Attempt(this.#home, live, asked.recordId, { record, by }, asked.policy, sentMs)
    return { kind: 'granted', by, attempt }
  }

  /** One claim inside the store budget: tried again with the same attemptId, so that a lost answer is found (T2). */
  #claim(ask: Ask): Promise<ClaimAnswer> {
    return withinBudget(this, () => {
      if (!ask.failed) ask.sentMs = this.clock.monotonicMs()
      return this.calls.claim(ask.request).catch((error: unknown) => {
        ask.failed = true
        throw error
      })
    })
  }

  /** Waits for the record that superseded an attempt to settle; undefined if it did not inside the wait. */
  outcomeOf(recordId: RecordId, waitMs: number): Promise<IdempotencyRecord | undefined> {
    return outcomeOf(this, recordId, waitMs)
  }
}
