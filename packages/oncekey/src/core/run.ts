/** `run(operation, execute)`: the library's front door over the engine. */
import type { Attempt, End, Settled } from './attempt.ts'
import type { Encryption } from './encryption.ts'
import { type Begun, Engine, type EngineParts } from './engine.ts'
import { IdempotencyError } from './errors.ts'
import type { Observer } from './events.ts'
import { inputFingerprint } from './fingerprint.ts'
import { type Instrument, type Tell, untold } from './instrument.ts'
import { checkKey, type RecordId, recordId } from './key.ts'
import type { Asked, Operation } from './operation.ts'
import { type Classify, classOf, decodeHead, encodeHead, fateOf, valueHead } from './outcome.ts'
import { pepperUnlessOpen } from './pepper.ts'
import { type Policy, type PolicyOptions, policyOf } from './policy.ts'
import type { IdempotencyRecord } from './record.ts'
import { type RunningAttempt, runningAttempt, unprotectedAttempt } from './running.ts'
import type { PurgeAnswer, SettleAnswer, Store } from './store.ts'
import { type Codec, decodeError, decodeValue, encodeError, encodeValue, isFinal } from './value.ts'

/** What `runDetailed` resolves to. */
export interface RunResult<T> {
  readonly value: T
  /** `bypassed`: the store was away and `failOpen` let it run unprotected. */
  readonly status: 'executed' | 'replayed' | 'joined' | 'bypassed'
  readonly recordId: string
  readonly attempt: number
  readonly fence: number
  /** False when the store was away at the end: the value is paid for, but a retry will not find it. */
  readonly recorded: boolean
}

/** Options of `createIdempotency`. */
export interface IdempotencyOptions extends PolicyOptions {
  readonly store: Store
  /** 32 bytes shared by all processes of the store; else the store keeps one. */
  readonly pepper?: Uint8Array
  /** Encrypts outcomes in the store. Default: they are kept in clear. */
  readonly encryption?: Encryption
  /** Overrides how an ending is classed. */
  readonly classify?: Classify
  /** How values become bytes; default JSON, and bytes as they are. */
  readonly codec?: Codec
  readonly observer?: Observer
  /** Throw `superseded`, carrying both, when a newer attempt's outcome stands instead of this one's. Default false. */
  readonly throwSuperseded?: boolean
}

/** Which platform an engine runs on; `createIdempotency` is wired in `platform/`. */
export type Platform = Pick<EngineParts, 'clock' | 'random' | 'digest' | 'steps'>

/** Runs operations once per key. Make one for a process and store, and close it at the end. */
export class Idempotency {
  readonly #engine: Engine
  readonly #policy: Policy
  readonly #options: IdempotencyOptions

  constructor(options: IdempotencyOptions, platform: Platform) {
    this.#policy = policyOf(options)
    this.#options = options
    const { store, observer, pepper, encryption } = options
    this.#engine = new Engine({
      ...platform,
      store,
      skewMs: this.#policy.skewMs,
      ...(observer === undefined ? {} : { observer }),
      ...(pepper === undefined ? {} : { pepper }),
      ...(encryption === undefined ? {} : { encryption }),
    })
  }

  /** The value of the operation: executed now, replayed, or joined. Throws IdempotencyError for every refusal. */
  async run<T>(operation: Operation, execute: (attempt: RunningAttempt) => T | Promise<T>): Promise<T> {
    return (await this.runDetailed(operation, execute)).value
  }

  /** As `run`, with how the value came about. */
  runDetailed<T>(operation: Operation, execute: (attempt: RunningAttempt) => T | Promise<T>): Promise<RunResult<T>> {
    const { instrument } = this.#engine
    if (instrument === undefined) return this.#run(operation, execute, untold)
    return instrument.operation('value', (tell) => this.#run(operation, execute, tell))
  }

  /** Puts an instrument around all operations from now on; `oncekey/otel` has one. */
  observe(instrument: Instrument): void {
    this.#engine.observe(instrument)
  }

  async #run<T>(
    operation: Operation,
    execute: (attempt: RunningAttempt) => T | Promise<T>,
    tell: Tell,
  ): Promise<RunResult<T>> {
    const ready = this.#engine.ready()
    // Without a promise: nearly every call comes when the pepper is there.
    const pepper = ready instanceof Uint8Array ? ready : await pepperUnlessOpen(ready, this.#policy.failOpen)
    if (pepper === undefined) return this.#bypass('', execute, tell)
    const asked = this.#asked(pepper, operation)
    const begun = await this.#engine.begin(asked)
    if (begun.kind === 'granted') return this.#engine.track(this.#execute(asked, begun, execute, tell))
    if (begun.kind === 'bypassed') return this.#bypass(asked.recordId, execute, tell)
    return this.#answer<T>(asked, begun, tell)
  }

  /** The record of an operation as the store has it; undefined when absent. */
  async inspect(operation: Operation): Promise<IdempotencyRecord | undefined> {
    const asked = await this.#ask(operation)
    return (await this.#engine.calls.read(asked.recordId)).record
  }

  /**
   * Ends a record that is `unknown` or running (T8): `released` lets the next call execute, a value is replayed from
   * now on. Answers `fenced` when the record has moved on since `expected` was read.
   */
  async resolve(
    recordId: string,
    expected: IdempotencyRecord,
    to: { readonly released: true } | { readonly value: unknown },
  ): Promise<SettleAnswer['kind']> {
    const outcome = 'released' in to ? undefined : this.#outcome(to.value)
    const { resolveRecord } = await import('./operator.ts')
    return resolveRecord(this.#engine, recordId as RecordId, expected, outcome)
  }

  /**
   * Removes the record of an operation that has ended, and its outcome, before its time: the next call executes.
   * `refused` while it runs.
   */
  async purge(operation: Operation): Promise<PurgeAnswer['kind']> {
    const { recordId } = await this.#ask(operation)
    return (await import('./operator.ts')).purgeRecord(this.#engine, recordId)
  }

  /** Stops the sweeper and the renewals and waits for running work. The store stays open; close it afterwards. */
  close(): Promise<void> {
    return this.#engine.close()
  }

  async #ask(operation: Operation): Promise<Asked> {
    return this.#asked(await this.#engine.ready(), operation)
  }

  #asked(pepper: Uint8Array, operation: Operation): Asked {
    const { digest } = this.#engine
    const { key, scope = '', tenant = '', input } = operation
    return {
      recordId: recordId(digest, pepper, { tenant, scope, key: checkKey(key) }),
      fingerprint: inputFingerprint(digest, pepper, input),
      rawFingerprint: '',
      policy: this.#policy,
      joinStreams: false,
    }
  }

  async #execute<T>(
    asked: Asked,
    { attempt, by }: Begun & { readonly kind: 'granted' },
    execute: (attempt: RunningAttempt) => T | Promise<T>,
    tell: Tell,
  ): Promise<RunResult<T>> {
    const { instrument } = this.#engine
    const running = runningAttempt(attempt, (committed) => this.#end(committed))
    let value: T
    try {
      value =
        instrument === undefined
          ? await execute(running)
          : await instrument.attempt({ by, number: running.number }, async () => execute(running))
      if (attempt.committing) await attempt.confirmCommit()
    } catch (error) {
      await this.#failed(attempt, error)
      throw error
    }
    // After a commit this finds its own outcome there (T7).
    const settled = await attempt.settle(await this.#kept(attempt, value), { value, record: attempt.record })
    if (settled.kind === 'superseded') return this.#superseded(asked, settled, value, tell)
    tell({ status: 'executed' })
    return { value, status: 'executed', ...facts(asked, attempt.record), recorded: settled.kind === 'recorded' }
  }

  async #failed(attempt: Attempt, error: unknown): Promise<void> {
    const shared = { error, record: attempt.record }
    if (isFinal(error)) {
      const bytes = encodeError(error)
      const digest = this.#engine.digest.sha256(bytes)
      const rest = { offset: 0, bytes }
      await attempt.settle(
        { kind: 'completed', outcome: 'error', head: encodeHead({ kind: 'error' }), rest, digest },
        shared,
      )
      return
    }
    const unknown = error instanceof IdempotencyError && error.code === 'outcome_unknown'
    const ending = unknown
      ? ({ class: 'indeterminate', retryAfterMs: 0 } as const)
      : classOf({ kind: 'threw', error, dispatched: attempt.dispatched }, this.#options.classify)
    // A user's "unknown" is one under every policy: somebody who knows has said so.
    const fate = unknown
      ? 'unknown'
      : fateOf(ending.class === 'final' ? 'not_executed' : ending.class, attempt.policy.onAbandoned)
    if (fate === 'lapse') attempt.lapse()
    else if (fate === 'unknown') await attempt.settle({ kind: 'unknown', digest: 'unknown' }, shared)
    else await attempt.settle({ kind: 'released', retryAfterMs: ending.retryAfterMs, digest: 'threw' }, shared)
  }

  /** What cannot be recorded was executed all the same: its record says so, and nobody executes it again. */
  async #kept(attempt: Attempt, value: unknown): Promise<End> {
    try {
      return this.#end(value)
    } catch (error) {
      const rest = { offset: 0, bytes: new Uint8Array(0) }
      const end = { kind: 'completed', outcome: 'omitted', head: valueHead(''), rest, digest: 'omitted' } as const
      await attempt.settle(end, { error, record: attempt.record })
      throw error
    }
  }

  #end(value: unknown): End {
    const { kind, head, body } = this.#outcome(value)
    const digest = this.#engine.digest.sha256(body)
    return { kind: 'completed', outcome: kind, head, rest: { offset: 0, bytes: body }, digest }
  }

  #outcome(value: unknown): { kind: 'value'; head: Uint8Array; body: Uint8Array } {
    const { codec, bytes } = encodeValue(value, this.#options.codec)
    return { kind: 'value', head: valueHead(codec, this.#engine.instrument?.trace()), body: bytes }
  }

  /** The recorded outcome stands, not this attempt's own. */
  async #superseded<T>(
    asked: Asked,
    settled: Settled & { readonly kind: 'superseded' },
    own: T,
    tell: Tell,
  ): Promise<RunResult<T>> {
    const record =
      settled.record?.state === 'completed'
        ? settled.record
        : await this.#engine.outcomeOf(asked.recordId, asked.policy.waitMs)
    const sentence = 'Another attempt took the operation over before this one could record its outcome.'
    if (record === undefined) throw new IdempotencyError('superseded', sentence, { recordId: asked.recordId, own })
    const answer = await this.#answer<T>(asked, { kind: 'recorded', record, body: undefined, joined: false }, tell)
    if (!this.#options.throwSuperseded) return answer
    throw new IdempotencyError('superseded', sentence, { recordId: asked.recordId, own, recorded: answer.value })
  }

  async #bypass<T>(
    recordId: string,
    execute: (attempt: RunningAttempt) => T | Promise<T>,
    tell: Tell,
  ): Promise<RunResult<T>> {
    const value = await execute(unprotectedAttempt(recordId))
    tell({ status: 'bypassed' })
    return { value, status: 'bypassed', recordId, attempt: 1, fence: 0, recorded: false }
  }

  async #answer<T>(
    asked: Asked,
    begun: Exclude<Begun, { kind: 'granted' | 'bypassed' }>,
    tell: Tell,
  ): Promise<RunResult<T>> {
    if (begun.kind === 'shared' && begun.shared !== undefined) {
      const { record, ...shared } = begun.shared as { value?: T; error?: unknown; record: IdempotencyRecord }
      tell({ status: 'joined' })
      if ('error' in shared) throw shared.error
      return { value: shared.value as T, status: 'joined', ...facts(asked, record), recorded: begun.recorded }
    }
    if (begun.kind !== 'recorded')
      throw new IdempotencyError('internal', 'A value operation met a stream. Use another scope for it.')
    const { record } = begun
    // The head first: an outcome that cannot be decrypted has no body to be had.
    const head = decodeHead(record.head)
    const body = begun.body ?? (await (await import('./whole.ts')).wholeBody(this.#engine, asked, record))
    const status = begun.joined ? 'joined' : 'replayed'
    tell({ status, ...('trace' in head ? { trace: head.trace } : {}) })
    if (head.kind === 'error') throw decodeError(body)
    if (head.kind !== 'value')
      throw new IdempotencyError(
        'outcome_not_replayable',
        'This key holds an HTTP response, not a value. Use another scope.',
      )
    const value = decodeValue(body, head.codec, this.#options.codec) as T
    return { value, status, ...facts(asked, record), recorded: true }
  }
}

function facts(asked: Asked, record: IdempotencyRecord): { recordId: string; attempt: number; fence: number } {
  return { recordId: asked.recordId, attempt: record.attempt, fence: record.fence }
}
