/** The HTTP behaviour, once, for the gateway and every adapter: key → claim → execute, replay, join or refuse → answer. */
import type { Attempt, Settled } from '../core/attempt.ts'
import type { Begun, Engine } from '../core/engine.ts'
import { IdempotencyError } from '../core/errors.ts'
import { type RecordId, recordId } from '../core/key.ts'
import type { Asked } from '../core/operation.ts'
import type { HttpCaller, HttpRequest, Dispatch } from './caller.ts'
import { Execution, type ExecutionReport, type SharedAnswer } from './capture.ts'
import { requestFingerprint, type RequestFingerprints } from './fingerprint.ts'
import { adopt, enter, type KeylessTicket, keylessWindowMs, leave } from './keyless.ts'
import { problem } from './problem.ts'
import { pump } from './pump.ts'
import { type Codings, join, joinHere, replay, type ReplayParts, sendDecoded } from './replay.ts'
import { type AnswerStatus, type Echo, ownFields, sendWhole } from './respond.ts'
import type { Plan, RouteOptions } from './route.ts'
import { givenTenant, tenantOf } from './tenant.ts'

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
}

interface Identity {
  readonly recordId: RecordId
  readonly fingerprints: RequestFingerprints
  /** Where declared retries of the same request find each other; only for `retries`. */
  readonly keyless: KeylessTicket | undefined
  /** Was it found without a key? */
  readonly inferred: boolean
}

/** A follower whose attempt fails before a byte came begins again; a store that loses bodies must not keep it busy. */
const maxRestarts = 20

/** How long an execution goes on for a keyed retry, and for a keyless one (http.md, Disconnect). */
const drainMs = { keyed: 30 * 60_000, keyless: 30_000 }

/** Answers covered requests. One for a process. */
export class Exchange {
  readonly #engine: Engine
  readonly #codings: Codings
  readonly #failed: (error: unknown) => void

  /** `failed` hears what nobody foresaw; the caller is told that there is something in the log. */
  constructor(engine: Engine, codings: Codings, failed: (error: unknown) => void) {
    this.#engine = engine
    this.#codings = codings
    this.#failed = failed
  }

  /**
   * Answers the caller, always. Resolves when the answer and the execution behind it have ended; `bypass` when the
   * store is away and the route fails open: then the adapter passes the request through.
   */
  async handle(exchanged: Exchanged): Promise<'handled' | 'bypass'> {
    const { caller, plan, request } = exchanged
    try {
      return await this.#handle(exchanged)
    } catch (error) {
      if (!(error instanceof IdempotencyError)) this.#failed(error)
      const refusal = error instanceof IdempotencyError ? error : internal(error)
      refuse(caller, refusal, request, { key: plan.echo, waitSeconds: undefined })
      return 'handled'
    }
  }

  async #handle(exchanged: Exchanged): Promise<'handled' | 'bypass'> {
    const { plan, route, caller } = exchanged
    const policy = policyFor(plan, route)
    const waitSeconds = plan.waitSeconds === undefined ? undefined : Math.floor(policy.waitMs / 1000)
    const echo = { key: plan.echo, waitSeconds }
    const identity = await this.#identify(exchanged)
    const { keyless } = identity
    const gone = async (): Promise<boolean> => keyless === undefined || leave(this.#engine.calls, keyless, identity.recordId)
    const stopListening = keyless === undefined ? undefined : caller.onLeave(() => void gone())
    try {
      return await this.#ask(exchanged, identity, echo, gone)
    } catch (error) {
      // A refusal is no answer: the next retry must be able to adopt the operation.
      await gone()
      throw error
    } finally {
      stopListening?.()
    }
  }

  async #ask(exchanged: Exchanged, identity: Identity, echo: Echo, gone: () => Promise<boolean>): Promise<'handled' | 'bypass'> {
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
      if (restarts === maxRestarts) {
        const sentence = 'The recorded answer could not be read back. Try again with the same key.'
        throw new IdempotencyError('store_unavailable', sentence, { recordId: identity.recordId })
      }
      const begun = await this.#engine.begin(asked)
      switch (begun.kind) {
        case 'granted':
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

  async #identify({ plan, route, request, tenant }: Exchanged): Promise<Identity> {
    const ready = this.#engine.ready()
    const pepper = ready instanceof Uint8Array ? ready : await ready
    const { digest } = this.#engine
    const keyed = { digest, pepper }
    const owner = tenant === undefined ? tenantOf(keyed, request, route) : givenTenant(tenant)
    const options = { maxBodyBytes: route.maxBodyBytes, decode: this.#codings.decode, ignore: route.ignore }
    const fingerprints = requestFingerprint(keyed, request, options)
    const place = `${request.method} ${request.path}`
    const named = (kind: string, key: string): RecordId => recordId(digest, pepper, { tenant: owner, scope: `${kind} ${place}`, key })
    if (plan.key !== undefined) {
      const split = route.mismatch === 'split' ? `split ${fingerprints.fingerprint}` : 'key'
      return { recordId: named(split, plan.key), fingerprints, keyless: undefined, inferred: false }
    }
    if (plan.keyless === 'content') {
      return { recordId: named('content', fingerprints.fingerprint), fingerprints, keyless: undefined, inferred: true }
    }
    const listId = digest.hmac(pepper, ['keyless', owner, place, fingerprints.fingerprint])
    const ticket = { listId, count: plan.retryCount }
    const found = await adopt(this.#engine.calls, ticket, route.policy.skewMs)
    if (found !== undefined) return { recordId: found, fingerprints, keyless: ticket, inferred: true }
    const fresh = digest.sha256(this.#engine.random.bytes(32)) as RecordId
    await enter(this.#engine.calls, ticket, fresh)
    return { recordId: fresh, fingerprints, keyless: ticket, inferred: false }
  }

  async #execute(exchanged: Exchanged, identity: Identity, attempt: Attempt, echo: Echo, gone: () => Promise<boolean>): Promise<void> {
    const { caller, dispatch, plan, route, request } = exchanged
    if (caller.hasLeft) {
      await attempt.settle({ kind: 'released', retryAfterMs: 0, digest: 'left' }, undefined)
      return
    }
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
      decoder: this.#codings.stream,
      report: this.#report(exchanged, identity, attempt, echo, answered, () => execution.trailers),
      drainMs: plan.key === undefined ? drainMs.keyless : drainMs.keyed,
      leaving: async () => void (await gone()),
      wanted: async () => !(await gone()),
    })
    await execution.run(dispatch)
    await Promise.allSettled(answered)
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
    const status: AnswerStatus = identity.inferred ? 'inferred' : 'executed'
    const executed = status === 'inferred' ? 'executed' : status
    return {
      whole: (answer, trailing, settled) => {
        if (settled?.kind === 'superseded') {
          answered.push(this.#superseded(exchanged, identity, settled, echo))
          return
        }
        const own = ownFields(executed, echo, settled?.kind === 'recorded' ? settled.record : undefined)
        if (settled?.kind === 'unrecorded') own.push('Idempotency-Recorded', '?0')
        if (trailing.length === 0) return sendWhole(caller, answer, own)
        caller.start(answer.status, [...answer.headers, ...own])
        caller.write(answer.body)
        caller.end(trailing)
      },
      live: (recording, head, scanner) => {
        const coded = head.headers.some((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-encoding')
        const comments = scanner.format === 'opaque' || coded ? undefined : (delivered: number) => delivered === recording.length && scanner.atEventEnd
        const options = {
          clock: this.#engine.clock,
          start: () => caller.start(head.status, [...head.headers, ...ownFields(executed, echo)]),
          eager: true,
          trailers,
          ...(comments === undefined ? {} : { mayComment: comments }),
        }
        answered.push(pump(recording.reader(0), caller, options))
      },
      passing: (head) => caller.start(head.status, [...head.headers, ...ownFields(executed, echo)]),
      refused: (error) => refuse(caller, withRecord(error, attempt.recordId), request, echo),
    }
  }

  /** Another attempt's word stands: nothing of ours was sent yet, so the caller gets what is recorded. */
  async #superseded(exchanged: Exchanged, identity: Identity, settled: Extract<Settled, { kind: 'superseded' }>, echo: Echo): Promise<void> {
    const { caller, request, route } = exchanged
    const found = settled.record?.state === 'completed' ? settled.record : await this.#engine.outcomeOf(identity.recordId, route.policy.waitMs)
    if (found === undefined || found.outcome === 'omitted') {
      const sentence = 'Another attempt took this request over while it ran, and its outcome cannot be had. Try again with the same key.'
      return refuse(caller, new IdempotencyError('superseded', sentence, { retryable: true }), request, echo)
    }
    const parts = this.#parts(exchanged, identity, 'joined', echo)
    if ((await replay(parts, found, undefined)) === 'unstarted') caller.cut()
  }

  /** False when it was cut before anything was sent: the request begins again. */
  async #answer(exchanged: Exchanged, identity: Identity, begun: Exclude<Begun, { kind: 'granted' | 'bypassed' | 'left' }>, echo: Echo): Promise<boolean> {
    const { caller, request } = exchanged
    switch (begun.kind) {
      case 'recorded': {
        const parts = this.#parts(exchanged, identity, begun.joined ? 'joined' : 'replayed', echo)
        return (await replay(parts, begun.record, begun.body)) !== 'unstarted'
      }
      case 'shared': {
        const shared = begun.shared as SharedAnswer
        // The execution ended without an answer that others may have: ask the record.
        if (shared === undefined) return false
        const status = identity.inferred ? 'inferred' : 'joined'
        if ('error' in shared) refuse(caller, shared.error, request, echo)
        else sendDecoded(this.#parts(exchanged, identity, status, echo), shared.answer, ownFields(status, echo))
        return true
      }
      case 'streaming':
        return (await joinHere(this.#parts(exchanged, identity, 'joined', echo), begun.recording)) !== 'unstarted'
      case 'following':
        return (await join(this.#parts(exchanged, identity, 'joined', echo), begun.record)) !== 'unstarted'
    }
  }

  #parts({ request, caller, route }: Exchanged, identity: Identity, status: AnswerStatus, echo: Echo): ReplayParts {
    return {
      engine: this.#engine,
      codings: this.#codings,
      recordId: identity.recordId,
      request,
      caller,
      echo,
      skewMs: route.policy.skewMs,
      status: identity.inferred ? 'inferred' : status,
    }
  }
}

/** Answers with the problem document of an error; a caller who has bytes already is cut. */
export function refuse(caller: HttpCaller, error: IdempotencyError, request: { readonly path: string }, echo: Echo): void {
  if (caller.hasLeft) return
  if (caller.started) return caller.cut()
  const { status, headers, body } = problem(error, { requestPath: request.path })
  const own = ownFields('refused', echo).slice(2)
  caller.answer(status, [...headers, ...own], body)
}

function policyFor(plan: Cover, route: RouteOptions): RouteOptions['policy'] {
  const { policy } = route
  const waitMs = plan.waitSeconds === undefined ? policy.waitMs : Math.min(plan.waitSeconds * 1000, policy.waitMs)
  const retentionMs = plan.key === undefined ? Math.min(policy.retentionMs, keylessWindowMs) : policy.retentionMs
  return { ...policy, waitMs, retentionMs }
}

function withRecord(error: IdempotencyError, id: RecordId): IdempotencyError {
  return new IdempotencyError(error.code, error.message, { ...error.details, retryable: error.retryable, recordId: id })
}

function internal(cause: unknown): IdempotencyError {
  return new IdempotencyError('internal', 'Oncekey failed on this request; the log has the reason. Try again with the same key.', { cause })
}
