/** A granted claim in its owner's hands: dispatched, appended to, settled once, and kept alive meanwhile. */
import type { StoreCalls } from './calls.ts'
import { type Clock, sleep } from './clock.ts'
import { IdempotencyError } from './errors.ts'
import type { Watch } from './instrument.ts'
import type { RecordId } from './key.ts'
import { deadlineOf, type HeldLease, type LeaseKeeper, type LostReason } from './lease.ts'
import { lostError, rolledBack, unavailable } from './lost.ts'
import { limits, type Policy } from './policy.ts'
import type { AttemptId, IdempotencyRecord } from './record.ts'
import type { Steps } from './step.ts'
import type { AppendAnswer, GrantedBy, KeptStep, Piece, SettleAnswer, Settlement } from './store.ts'
import type { Recording } from './stream.ts'
import type { Live, Lives } from './wait.ts'

/** What an attempt needs of its engine. */
export interface AttemptHome {
  readonly calls: StoreCalls
  readonly clock: Clock
  readonly lives: Lives
  readonly keeper: LeaseKeeper
  readonly watch: Watch
  steps(attempt: Attempt): Steps
}

/** How an attempt ends, without the ids. */
export type End =
  | Pick<Extract<Settlement, { kind: 'completed' }>, 'kind' | 'outcome' | 'head' | 'rest' | 'digest'>
  | Pick<Extract<Settlement, { kind: 'released' }>, 'kind' | 'retryAfterMs' | 'digest'>
  | Pick<Extract<Settlement, { kind: 'unknown' }>, 'kind' | 'digest'>

/**
 * `recorded`: the record says so, for ever. `superseded`: another attempt's word stands. `unrecorded`: the store is
 * away; settling goes on behind it until the lease's local deadline, then the record ends by policy.
 */
export type Settled =
  | { readonly kind: 'recorded'; readonly record: IdempotencyRecord }
  | { readonly kind: 'unrecorded' }
  | { readonly kind: 'superseded'; readonly record: IdempotencyRecord | undefined }

/** First pause between tries of a store call that failed; doubles up to a second. */
const firstPauseMs = 25

/** One claim that this process owns. */
export class Attempt implements HeldLease {
  readonly recordId: RecordId
  readonly attemptId: AttemptId
  readonly record: IdempotencyRecord
  readonly by: GrantedBy | 'yours'
  readonly policy: Policy
  readonly leaseMs: number
  readonly skewMs: number
  deadlineMs: number
  previous: HeldLease | undefined
  next: HeldLease | undefined
  /** "The effect may have begun" is recorded; never under any policy but `unknown`. */
  dispatched = false
  readonly #home: AttemptHome
  readonly #live: Live
  #abort: AbortController | undefined
  #lost: LostReason | undefined
  #onLost: ((reason: LostReason) => void)[] | undefined
  #dispatched: Promise<void> | undefined
  #steps: Steps | undefined
  #settling = false
  #committing = false

  constructor(
    home: AttemptHome,
    live: Live,
    recordId: RecordId,
    { record, by }: { readonly record: IdempotencyRecord; readonly by: GrantedBy | 'yours' },
    policy: Policy,
    sentMs: number,
  ) {
    this.#home = home
    this.#live = live
    this.recordId = recordId
    this.attemptId = record.attemptId
    this.record = record
    this.by = by
    this.policy = policy
    this.leaseMs = policy.leaseMs
    this.skewMs = policy.skewMs
    this.deadlineMs = deadlineOf(sentMs, policy.leaseMs, policy.skewMs)
    live.grant(record)
    home.keeper.add(this)
  }

  /** Fires when the lease is lost, the attempt is superseded or cancelled, or the engine closes. For user code. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#lost !== undefined) this.#abort.abort(lostError(this.#lost, this.recordId))
    }
    return this.#abort.signal
  }

  /** Called by the lease keeper. The signal fires once; renewals go on, for a lapsed lease that nobody took revives. */
  lost(reason: LostReason): void {
    // A renewal may meet the record just after this attempt's own settle, whose answer alone decides.
    if (this.#lost === reason || (this.#settling && reason !== 'shutdown')) return
    const first = this.#lost === undefined
    this.#lost = reason
    this.#home.watch.observer?.({ kind: 'lost', recordId: this.recordId, reason })
    if (first) this.#abort?.abort(lostError(reason, this.recordId))
    // Duplicates must not wait for an attempt whose word no longer counts.
    if (reason === 'superseded' || reason === 'cancelled')
      this.#home.lives.close(this.recordId, this.#live, { kind: 'again' })
    for (const listener of this.#onLost ?? []) listener(reason)
  }

  /** Hears why the attempt was lost, each reason once, also one that was there before. */
  onLost(listener: (reason: LostReason) => void): void {
    this.#onLost ??= []
    this.#onLost.push(listener)
    if (this.#lost !== undefined) listener(this.#lost)
  }

  /**
   * Resolves when "the effect may have begun" is recorded; writes only under `unknown`. Call it before the first byte
   * of the effect. Rejects (`store_unavailable`, `superseded`) when it could not be recorded: then do not begin.
   */
  dispatching(): Promise<void> {
    this.#dispatched ??= this.policy.onAbandoned === 'unknown' ? this.#writeDispatched() : Promise.resolve()
    return this.#dispatched
  }

  async #writeDispatched(): Promise<void> {
    const untilMs = Math.min(this.#home.clock.monotonicMs() + limits.storeBudgetMs, this.deadlineMs)
    const answer = await this.#persist(
      { recordId: this.recordId, attemptId: this.attemptId, kind: 'dispatched' },
      untilMs,
    )
    if (answer === undefined) throw unavailable('Nothing was executed.')
    if (answer.kind === 'fenced') throw lostError('superseded', this.recordId)
    this.dispatched = true
  }

  /** Has this attempt put its outcome into a transaction of the caller's? Then only that transaction records it. */
  get committing(): boolean {
    return this.#committing
  }

  /** Settles inside the caller's transaction. Rejects when this attempt is not the record's any more. */
  async commit(transaction: unknown, end: End): Promise<void> {
    const { store } = this.#home.calls
    if (store.settleIn === undefined) {
      const sentence = `The store "${store.capabilities.name}" has no transactions of yours: attempt.commit needs PostgreSQL.`
      throw new IdempotencyError('config_invalid', sentence)
    }
    this.#committing = true
    this.#settling = true
    // A renewal would wait for the row that the transaction holds, and hold up those of all other leases. Nobody can
    // take the record over meanwhile, for a claim waits at the same row.
    this.#home.keeper.remove(this)
    const settlement = { recordId: this.recordId, attemptId: this.attemptId, ...end } as Settlement
    const answer = await store.settleIn(transaction, settlement)
    if (answer.kind === 'fenced') throw lostError('superseded', this.recordId)
  }

  /** Rejects when the transaction of `commit` has not committed: its rows are not there, so no outcome may be. */
  async confirmCommit(): Promise<void> {
    const untilMs = this.#home.clock.monotonicMs() + limits.storeBudgetMs
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, 1000)) {
      const read = await this.#home.calls.read(this.recordId).catch(() => undefined)
      const record = read?.record
      if (record?.state === 'completed') return
      if (read !== undefined) throw rolledBack(this.recordId)
      if (this.#home.clock.monotonicMs() + pauseMs > untilMs)
        throw unavailable('Nobody can tell now whether the transaction has committed.')
      await sleep(this.#home.clock, pauseMs)
    }
  }

  /** Its recorded steps, and those that former attempts have left. */
  get steps(): Steps {
    this.#steps ??= this.#home.steps(this)
    return this.#steps
  }

  /** Records what a step has made, with as many tries as the lease has time for. */
  async keep(step: KeptStep): Promise<void> {
    const untilMs = Math.max(this.#home.clock.monotonicMs() + limits.storeBudgetMs, this.deadlineMs)
    const answer = await this.#persist(
      { recordId: this.recordId, attemptId: this.attemptId, kind: 'step', ...step },
      untilMs,
    )
    if (answer === undefined) throw unavailable('A step was executed, and what it made is not recorded.')
    if (answer.kind === 'fenced') throw lostError('superseded', this.recordId)
  }

  /** Progress of a stream: its head is there, or its capture was dropped. */
  progress(
    what: { readonly kind: 'head'; readonly head: Uint8Array } | { readonly kind: 'dropped' },
  ): Promise<SettleAnswer> {
    return this.#home.calls.settle({ recordId: this.recordId, attemptId: this.attemptId, ...what })
  }

  /** One try to append a piece of the body. */
  append(piece: Piece): Promise<AppendAnswer> {
    return this.#home.calls.append({ recordId: this.recordId, attemptId: this.attemptId, ...piece })
  }

  /** How many duplicates in this process wait for the end. */
  get waiters(): number {
    return this.#live.waiters
  }

  /** Tells duplicates in this process that there is a stream to join. */
  stream(recording: Recording): void {
    this.#live.stream(recording)
  }

  /**
   * Ends the attempt (T6). `shared` is what duplicates in this process get, who shared this very execution. Resolves
   * within the store budget; never rejects.
   */
  async settle(wanted: End, shared: unknown): Promise<Settled> {
    const end = wanted.kind === 'released' ? await this.#releasable(wanted) : wanted
    if (end === undefined) {
      this.lapse()
      return { kind: 'unrecorded' }
    }
    const settlement = { recordId: this.recordId, attemptId: this.attemptId, ...end } as Settlement
    this.#settling = true
    const { clock } = this.#home
    const heldUntilMs = clock.monotonicMs() + limits.storeBudgetMs
    const direct = await this.#home.calls.settle(settlement).catch(() => undefined)
    if (direct !== undefined) return this.#ended(direct, end.kind, shared)
    const persisted = this.#persist(settlement, Math.max(this.deadlineMs, heldUntilMs))
    // A process that stood still finds the budget gone: it is still worth one more try to learn whose word stands.
    const heldMs = Math.max(heldUntilMs - clock.monotonicMs(), limits.storeTimeoutMs)
    const first = await Promise.race([persisted, sleep(clock, heldMs)])
    if (first !== undefined) return this.#ended(first, end.kind, shared)
    void persisted
      .then((answer) => answer !== undefined && this.#note(answer, end.kind))
      .finally(() => this.#home.keeper.remove(this))
    this.#home.watch.observer?.({ kind: 'unrecorded', recordId: this.recordId })
    this.#close(end.kind, shared, false)
    return { kind: 'unrecorded' }
  }

  /** Gives up without a word: the lease runs out and the recorded policy decides (`reconcile`). */
  lapse(): void {
    this.#home.keeper.remove(this)
    this.#home.lives.close(this.recordId, this.#live, { kind: 'again' })
  }

  /**
   * A step that still runs is waited for, so that no retry runs it beside. Where nobody can tell what a step has done the
   * operation must not run again; and where the store does not say, the lease runs out, and the next attempt asks.
   */
  async #releasable(end: End): Promise<End | undefined> {
    if (this.#steps === undefined && !this.record.steps) return end
    try {
      return (await this.steps.ended()) ? { kind: 'unknown', digest: 'step' } : end
    } catch {
      return undefined
    }
  }

  #ended(answer: SettleAnswer, as: End['kind'], shared: unknown): Settled {
    this.#home.keeper.remove(this)
    this.#note(answer, as)
    if (answer.kind === 'fenced') {
      this.#home.lives.close(this.recordId, this.#live, { kind: 'again' })
      return { kind: 'superseded', record: answer.record }
    }
    this.#close(as, shared, true)
    return { kind: 'recorded', record: answer.record }
  }

  #close(as: End['kind'], shared: unknown, recorded: boolean): void {
    const news = as === 'unknown' ? ({ kind: 'again' } as const) : ({ kind: 'ended', as, shared, recorded } as const)
    this.#home.lives.close(this.recordId, this.#live, news)
  }

  #note(answer: SettleAnswer, as: End['kind']): void {
    const { observer } = this.#home.watch
    if (observer === undefined) return
    const { recordId } = this
    observer(answer.kind === 'fenced' ? { kind: 'superseded', recordId } : { kind: 'settled', recordId, as })
  }

  /** The same call with the same attemptId until it is answered; undefined at `untilMs` (monotonic). */
  async #persist(settlement: Settlement, untilMs: number): Promise<SettleAnswer | undefined> {
    const { calls, clock } = this.#home
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, 1000)) {
      try {
        return await calls.settle(settlement)
      } catch {
        if (clock.monotonicMs() + pauseMs > untilMs) return undefined
        await sleep(clock, pauseMs)
      }
    }
  }
}
