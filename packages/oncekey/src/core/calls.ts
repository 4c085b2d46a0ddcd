/** The store behind group commit and time-outs: every call of the engine goes through here. */
import { Batcher } from './batcher.ts'
import type { Clock } from './clock.ts'
import { Watch } from './instrument.ts'
import type { RecordId } from './key.ts'
import type { KeylessAnswer } from './keyless.ts'
import { limits } from './policy.ts'
import type { AttemptId } from './record.ts'
import type {
  AppendAnswer,
  AppendRequest,
  ClaimAnswer,
  ClaimRequest,
  KeptStep,
  KeylessRequest,
  ReadAnswer,
  RenewAnswer,
  RenewRequest,
  SettleAnswer,
  Settlement,
  Store,
} from './store.ts'

/** One store, its calls gathered and bounded in time. */
export class StoreCalls {
  readonly store: Store
  readonly #clock: Clock
  readonly #watch: Watch
  readonly #claims: Batcher<ClaimRequest, ClaimAnswer>
  readonly #settlements: Batcher<Settlement, SettleAnswer>
  readonly #appends: Batcher<AppendRequest, AppendAnswer>
  readonly #reads: Batcher<RecordId, ReadAnswer>
  readonly #keyless: Batcher<KeylessRequest, KeylessAnswer>

  constructor(store: Store, clock: Clock, watch: Watch = new Watch()) {
    this.store = store
    this.#clock = clock
    this.#watch = watch
    const shared = store.capabilities.callsInFlight
    const late = (call: string) => (error: unknown) => this.#watch.observer?.({ kind: 'store_failed', call, error })
    this.#claims = new Batcher((items) => this.#noted('claim', store.claim(items)), clock, shared, late('claim'))
    this.#settlements = new Batcher(
      (items) => this.#noted('settle', store.settle(items)),
      clock,
      shared,
      late('settle'),
    )
    this.#appends = new Batcher((items) => this.#noted('append', store.append(items)), clock, shared, late('append'))
    this.#reads = new Batcher((items) => this.#noted('read', store.read(items)), clock, shared, late('read'))
    this.#keyless = new Batcher((items) => this.#noted('keyless', store.keyless(items)), clock, shared, late('keyless'))
  }

  claim(ask: ClaimRequest): Promise<ClaimAnswer> {
    return this.#claims.add(ask)
  }

  settle(ask: Settlement): Promise<SettleAnswer> {
    return this.#settlements.add(ask)
  }

  append(ask: AppendRequest): Promise<AppendAnswer> {
    return this.#appends.add(ask)
  }

  read(recordId: RecordId): Promise<ReadAnswer> {
    return this.#reads.add(recordId)
  }

  keyless(ask: KeylessRequest): Promise<KeylessAnswer> {
    return this.#keyless.add(ask)
  }

  renew(asks: readonly RenewRequest[]): Promise<readonly RenewAnswer[]> {
    return this.within('renew', this.store.renew(asks))
  }

  readBody(recordId: RecordId, attemptId: AttemptId, offset: number): Promise<readonly Uint8Array[]> {
    return this.within('readBody', this.store.readBody(recordId, attemptId, offset))
  }

  steps(recordId: RecordId): Promise<readonly KeptStep[]> {
    return this.within('steps', this.store.steps(recordId))
  }

  /** Bounds a call that is not gathered to `limits.storeTimeoutMs`. */
  within<T>(name: string, call: Promise<T>): Promise<T> {
    return this.#noted(
      name,
      new Promise<T>((resolve, reject) => {
        const late = (): void => reject(new Error(`the store did not answer within ${limits.storeTimeoutMs} ms`))
        const timer = this.#clock.setTimer(limits.storeTimeoutMs, late, true)
        call.then(resolve, reject).finally(() => timer.cancel())
      }),
    )
  }

  #noted<T>(name: string, call: Promise<T>): Promise<T> {
    const { observer } = this.#watch
    if (observer === undefined) return call
    const sentMs = this.#clock.monotonicMs()
    const failed = (error: unknown): void => observer({ kind: 'store_failed', call: name, error })
    call.then(() => observer({ kind: 'store_called', call: name, ms: this.#clock.monotonicMs() - sentMs }), failed)
    return call
  }
}
