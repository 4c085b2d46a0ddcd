/** The HTTP behaviour, once, for the gateway and every adapter: key → claim → execute, replay, join or refuse → answer. */
import type { Attempt, Settled } from '../core/attempt.ts'
import type { Begun, Engine } from '../core/engine.ts'
import { IdempotencyError } from '../core/errors.ts'
import type { Asked } from '../core/operation.ts'
import { runningAttempt } from '../core/running.ts'
import type { Get } from '../providers/index.ts'
import type { Account } from './account.ts'
import { admit } from './admission.ts'
import type { Dispatch, HttpCaller, HttpRequest } from './caller.ts'
import { Execution, type ExecutionReport } from './capture.ts'
import { committing } from './commit.ts'
import type { Concluded, SharedAnswer } from './conclusion.ts'
import { drainMs } from './drain.ts'
import { echoOf, Identities, type Identity, policyFor } from './identity.ts'
import { type Left, leave } from './keyless.ts'
import { pump } from './pump.ts'
import { markedBody, reconcile } from './reconcile.ts'
import { refusalOf, refuse, unreadBack, withRecord } from './refuse.ts'
import { type Codings, join, joinHere, type ReplayParts, replay, sendDecoded } from './replay.ts'
import { type Echo, ownFields, sendWhole } from './respond.ts'
import type { Plan, RouteOptions } from './route.ts'

type Cover = Extract<Plan, { kind: 'cover' }>

/** One covered request on its way. */
export interface Exchanged {
  readonly plan: Cover
  readonly route: RouteOptions
  readonly request: HttpRequest
  readonly caller: HttpCaller
  readonly dispatch: Dispatch
  /** The principal as the application knows it; replaces the digest of the credential. */
  readonly tenant?: string
  readonly account?: Account
  /** Why nothing may be executed anew for this tenant; undefined: it may. */
  readonly admits?: ((tenant: string) => IdempotencyError | undefined) | undefined
  /** Asks the provider as this caller would, for `reconcile`. */
  readonly get?: Get
}

/** A follower whose attempt fails before a byte came begins again; a store that loses bodies must not keep it busy. */
const maxRestarts = 20

/** Marks an answer that the store could not take: a retry will not find it. */
const unrecorded = ['Idempotency-Recorded', '?0'] as const

/** Answers covered requests. One for a process. */
export class Exchange {
  readonly #engine: Engine
  readonly #codings: Codings
  readonly #identities: Identities
  /** What the caller is told of an error, whoever met it. */
  readonly refusalOf: (error: unknown) => IdempotencyError

  /** `failed` hears what nobody foresaw; the caller is told that there is something in the log. */
  constructor(engine: Engine, codings: Codings, failed: (error: unknown) => void) {
    this.#engine = engine
    this.#codings = codings
    this.#identities = new Identities(engine, codings)
    this.refusalOf = (error) => refusalOf(error, failed)
  }

  /**
   * Answers the caller, always. Resolves when the answer and the execution behind it have ended; `bypass` when the
   * store is away and the route fails open: then the adapter passes the request through.
   */
  async handle(exchanged: Exchanged): Promise<'handled' | 'bypass'> {
    const echo = echoOf(exchanged)
    try {
      return await this.#handle(exchanged, echo)
    } catch (error) {
      refuse(exchanged.caller, this.refusalOf(error), exchanged.request, echo)
      return 'handled'
    }
  }

  async #handle(exchanged: Exchanged, echo: Echo): Promise<'handled' | 'bypass'> {
    const identity = await this.#identities.identify(exchanged)
    if (identity === undefined) return 'bypass'
    const { keyless } = identity
    exchanged.account?.named(identity.tenant, identity.recordId)
    const gone = async (): Promise<Left> =>
      keyless === undefined ? 'left' : leave(this.#engine, keyless, identity.recordId)
    const stopListening = keyless === undefined ? undefined : exchanged.caller.onLeave(() => void gone())
    try {
      if (exchanged.admits !== undefined) await admit(this.#engine, exchanged, identity)
      return await this.#ask(exchanged, identity, echo, gone)
    } catch (error) {
      // A refusal is no answer: the next retry must be able to adopt the operation.
      await gone()
      throw error
    } finally {
      stopListening?.()
    }
  }

  async #ask(
    exchanged: Exchanged,
    identity: Identity,
    echo: Echo,
    gone: () => Promise<Left>,
  ): Promise<'handled' | 'bypass'> {
    const { plan, route, caller } = exchanged
    const asked: Asked = {
      recordId: identity.recordId,
      fingerprint: identity.fingerprints.fingerprint,
      rawFingerprint: identity.fingerprints.raw,
      policy: policyFor(plan, route),
      joinStreams: true,
      caller,
    }
    for (let restarts = 0; ; restarts++) {
      if (restarts === maxRestarts) throw unreadBack(identity.recordId)
      const begun = await this.#engine.begin(asked)
      switch (begun.kind) {
        case 'granted':
          exchanged.account?.granted(begun.attempt.record.attempt, begun.by)
          await this.#engine.track(this.#execute(exchanged, identity, begun.attempt, echo, gone))
          return 'handled'
        case 'bypassed':
          return 'bypass'
        case 'left':
          return 'handled'
        default:
          if (await this.#answer(exchanged, identity, begun, echo)) return 'handled'
      }
    }
  }

  async #execute(
    exchanged: Exchanged,
    identity: Identity,
    attempt: Attempt,
    echo: Echo,
    gone: () => Promise<Left>,
  ): Promise<void> {
    const { caller, dispatch, plan, route, request } = exchanged
    if (caller.hasLeft) {
      await attempt.settle({ kind: 'released', retryAfterMs: 0, digest: 'left' }, undefined)
      return
    }
    const found = await reconcile(exchanged, attempt, this.#engine, this.#codings)
    if (found !== undefined) return this.#found(exchanged, identity, found, echo)
    try {
      await attempt.dispatching()
    } catch (error) {
      await attempt.settle({ kind: 'released', retryAfterMs: 0, digest: 'undispatched' }, undefined)
      throw error
    }
    const answered: Promise<unknown>[] = []
    const execution = new Execution({
      engine: this.#engine,
      attempt,
      route,
      request,
      caller,
      codings: this.#codings,
      account: exchanged.account,
      report: this.#report(exchanged, identity, attempt, echo, answered, () => execution.trailers),
      drainMs: plan.keyless === 'retries' ? drainMs.retries : drainMs.others,
      leaving: async () => void (await gone()),
      wanted: async () => (await gone()) !== 'left',
    })
    const running = runningAttempt(attempt, committing(this.#engine.digest, route))
    await execution.run((events) => dispatch(events, markedBody(exchanged, attempt), running))
    await Promise.allSettled(answered)
  }

  /** The provider has what an earlier attempt had asked for. */
  async #found(exchanged: Exchanged, identity: Identity, { answer, settled }: Concluded, echo: Echo): Promise<void> {
    if (settled?.kind === 'superseded') return this.#superseded(exchanged, identity, settled, echo)
    exchanged.account?.spared('replayed', undefined)
    const own = ownFields('replayed', echo, settled?.kind === 'recorded' ? settled.record : undefined)
    sendWhole(exchanged.caller, answer, own)
  }

  #report(
    exchanged: Exchanged,
    identity: Identity,
    attempt: Attempt,
    echo: Echo,
    answered: Promise<unknown>[],
    trailers: () => readonly string[],
  ): ExecutionReport {
    const { caller, request } = exchanged
    return {
      whole: (answer, trailing, settled) => {
        // Without a key the one who took it over is another wish, or a retry whose caller is not this one.
        const robbed = settled?.kind === 'superseded' && identity.keyless !== undefined
        if (settled?.kind === 'superseded' && !robbed) {
          answered.push(this.#superseded(exchanged, identity, settled, echo))
          return
        }
        const own = ownFields('executed', echo, settled?.kind === 'recorded' ? settled.record : undefined)
        if (robbed || settled?.kind === 'unrecorded') own.push(...unrecorded)
        if (trailing.length === 0) return sendWhole(caller, answer, own)
        caller.start(answer.status, [...answer.headers, ...own])
        caller.write(answer.body)
        caller.end(trailing)
      },
      live: (recording, head, scanner) => {
        const coded = head.headers.some((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-encoding')
        const comments =
          scanner.format === 'opaque' || coded
            ? undefined
            : (delivered: number) => delivered === recording.length && scanner.atEventEnd
        const options = {
          clock: this.#engine.clock,
          start: () => caller.start(head.status, [...head.headers, ...ownFields('executed', echo)]),
          eager: true,
          trailers,
          ...(comments === undefined ? {} : { mayComment: comments }),
        }
        answered.push(pump(recording.reader(0), caller, options))
      },
      passing: (head) => caller.start(head.status, [...head.headers, ...ownFields('executed', echo)]),
      refused: (error) => refuse(caller, withRecord(error, attempt.recordId), request, echo),
    }
  }

  /** Another attempt's word stands: nothing of ours was sent yet, so the caller gets what is recorded. */
  async #superseded(
    exchanged: Exchanged,
    identity: Identity,
    settled: Extract<Settled, { kind: 'superseded' }>,
    echo: Echo,
  ): Promise<void> {
    const { caller, request, route } = exchanged
    const found =
      settled.record?.state === 'completed'
        ? settled.record
        : await this.#engine.outcomeOf(identity.recordId, route.policy.waitMs)
    if (found === undefined || found.outcome === 'omitted') {
      const sentence =
        'Another attempt took this request over while it ran, and its outcome cannot be had. Try again with the same key.'
      return refuse(caller, new IdempotencyError('superseded', sentence, { retryable: true }), request, echo)
    }
    const parts = this.#parts(exchanged, identity, 'joined', echo)
    try {
      if ((await replay(parts, found, undefined)) === 'unstarted') caller.cut()
    } catch (error) {
      refuse(caller, this.refusalOf(error), request, echo)
    }
  }

  /** False when it was cut before anything was sent: the request begins again. */
  async #answer(
    exchanged: Exchanged,
    identity: Identity,
    begun: Exclude<Begun, { kind: 'granted' | 'bypassed' | 'left' }>,
    echo: Echo,
  ): Promise<boolean> {
    const { caller, request } = exchanged
    switch (begun.kind) {
      case 'recorded': {
        const parts = this.#parts(exchanged, identity, begun.joined ? 'joined' : 'replayed', echo)
        return (await replay(parts, begun.record, begun.body)) !== 'unstarted'
      }
      case 'shared': {
        const shared = begun.shared as SharedAnswer | undefined
        // The execution ended without an answer that others may have: ask the record.
        if (shared === undefined) return false
        const status = identity.inferred ? 'inferred' : 'joined'
        if ('error' in shared) refuse(caller, shared.error, request, echo)
        else {
          exchanged.account?.spared('joined', shared.note)
          const own = ownFields(status, echo)
          if (begun.as === 'completed' && !begun.recorded) own.push(...unrecorded)
          sendDecoded(this.#parts(exchanged, identity, 'joined', echo), shared.answer, own)
        }
        return true
      }
      case 'streaming':
        return (await joinHere(this.#parts(exchanged, identity, 'joined', echo), begun.recording)) !== 'unstarted'
      case 'following':
        return (await join(this.#parts(exchanged, identity, 'joined', echo), begun.record)) !== 'unstarted'
    }
  }

  #parts(
    { request, caller, route, account }: Exchanged,
    identity: Identity,
    how: 'replayed' | 'joined',
    echo: Echo,
  ): ReplayParts {
    return {
      engine: this.#engine,
      codings: this.#codings,
      recordId: identity.recordId,
      request,
      caller,
      echo,
      skewMs: route.policy.skewMs,
      how,
      status: identity.inferred ? 'inferred' : how,
      account,
    }
  }
}
