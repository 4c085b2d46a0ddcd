/** Turns the end of an execution into its settlement and into what the caller and the duplicates get. */
import type { Attempt, End, Settled } from '../core/attempt.ts'
import type { Digest } from '../core/digest.ts'
import type { IdempotencyError } from '../core/errors.ts'
import { classOf, type EndingClass, encodeHead, fateOf } from '../core/outcome.ts'
import { type Usage, usageOf } from '../providers/index.ts'
import type { Account } from './account.ts'
import type { HttpCaller, UpstreamFailure, WholeAnswer } from './caller.ts'
import { failureError, type Head, isJsonAnswer } from './ending.ts'
import type { DecodeBody } from './fingerprint.ts'
import { answerHeaders, fieldValue, replayHeaders } from './headers.ts'
import type { RouteOptions } from './route.ts'

/** What is needed to conclude. */
export interface ConclusionParts {
  readonly digest: Digest
  readonly attempt: Attempt
  readonly route: RouteOptions
  readonly caller: HttpCaller
  readonly decode: DecodeBody
  readonly account: Account | undefined
}

/** What duplicates in this process are handed; `note` is the account's. */
export type SharedAnswer =
  | { readonly answer: WholeAnswer; readonly note?: unknown }
  | { readonly error: IdempotencyError }

/** A whole answer on its way to the caller, and what became of its record. */
export interface Concluded {
  readonly answer: WholeAnswer
  /** Undefined where the caller gets the answer whatever the record says. */
  readonly settled: Settled | undefined
}

/** How an answer that is final and whole is recorded; only headers that may be replayed belong into it. */
export function completion(digest: Digest, { status, headers, body }: WholeAnswer, note?: unknown): End {
  const head = encodeHead({ kind: 'response', status, headers, stream: false, note })
  return { kind: 'completed', outcome: 'response', head, rest: { offset: 0, bytes: body }, digest: digest.sha256(body) }
}

/** Concludes one execution, once. */
export class Conclusion {
  readonly #parts: ConclusionParts

  constructor(parts: ConclusionParts) {
    this.#parts = parts
  }

  /** An answer of the upstream's, whole in memory. */
  async whole(head: Head, body: Uint8Array): Promise<Concluded> {
    const { digest, route, attempt } = this.#parts
    const ending = this.classOf(head, true)
    const answer = { status: head.status, headers: answerHeaders(head.headers), body }
    const kept = ending.class === 'final' ? body.length : undefined
    const note = this.#note(ending.class, head.status, this.#usage(head, body), kept)
    if (ending.class !== 'final') {
      const settled = await this.#endAs(ending.class, ending.retryAfterMs, { answer })
      return { answer, settled: settled?.kind === 'superseded' ? settled : undefined }
    }
    const headers = replayHeaders(head.headers, route.replayHeaders)
    const end = completion(digest, { status: head.status, headers, body }, note)
    const settled = await attempt.settle(end, { answer: { ...answer, headers }, note } satisfies SharedAnswer)
    return { answer, settled }
  }

  /** Has the transaction of `attempt.commit` committed? Then the outcome is what was given there. Else why it is not. */
  async committed(): Promise<IdempotencyError | undefined> {
    const { attempt } = this.#parts
    if (!attempt.committing) return undefined
    try {
      await attempt.confirmCommit()
      return undefined
    } catch (error) {
      this.#note('indeterminate', undefined, undefined)
      await this.#endAs('indeterminate', 0, undefined)
      return error as IdempotencyError
    }
  }

  /** What a status means on this route, with the answer whole or broken off. */
  classOf(head: Head, complete: boolean): ReturnType<typeof classOf> {
    const header = (name: string): string | undefined => fieldValue(head.headers, name)
    return classOf({ kind: 'response', status: head.status, header, complete }, this.#parts.route.classify)
  }

  /** The upstream failed; `said` is what the head of an answer that broke off had told already. */
  async failure(failure: UpstreamFailure, head: Head | undefined): Promise<IdempotencyError> {
    const { attempt, route } = this.#parts
    const ending =
      head === undefined
        ? classOf({ kind: 'failed', sent: failure.sent, cause: failure.cause }, route.classify)
        : this.classOf(head, false)
    const fate = fateOf(ending.class, attempt.policy.onAbandoned)
    const error = failureError(failure, ending.class, fate)
    this.#note(ending.class, head?.status, undefined)
    await this.#endAs(ending.class, ending.retryAfterMs, { error })
    return error
  }

  /** An answer that will not be kept, by what its head says alone. */
  async unkept(head: Head): Promise<void> {
    this.#note(head.class, head.status, undefined)
    await this.#endAs(head.class, head.retryAfterMs, undefined)
  }

  /** A stream that was cut, or ended without its last word. */
  async truncated(status: number): Promise<void> {
    this.#note('indeterminate', status, undefined)
    await this.#endAs('indeterminate', 0, undefined)
  }

  /** Tells the account of a stream that is whole, of so many bytes; answers what it wants to be kept. */
  streamed(status: number, usage: Usage | undefined, bytes: number): unknown {
    return this.#note('final', status, usage, bytes)
  }

  /** Broken off by an operator: it may have been paid. */
  cancelled(status: number | undefined): void {
    this.#note('indeterminate', status, undefined)
  }

  #note(ending: EndingClass, status: number | undefined, usage: Usage | undefined, keptBytes?: number): unknown {
    const { account, attempt, caller } = this.#parts
    const keptMs = attempt.policy.retentionMs
    return account?.executed({ class: ending, status, usage, drained: caller.hasLeft, keptBytes, keptMs })
  }

  #usage({ headers }: Head, body: Uint8Array): Usage | undefined {
    if (this.#parts.account === undefined || !isJsonAnswer(headers)) return undefined
    const coding = fieldValue(headers, 'content-encoding')?.toLowerCase()
    if (coding === undefined || coding === 'identity') return usageOf(body)
    const decoded = this.#parts.decode(coding, body, maxDecodedBytes)
    return decoded === undefined ? undefined : usageOf(decoded)
  }

  /** Ends the attempt by class and policy, without an outcome. */
  async #endAs(
    ending: EndingClass,
    retryAfterMs: number,
    shared: SharedAnswer | undefined,
  ): Promise<Settled | undefined> {
    const { attempt } = this.#parts
    const fate = fateOf(ending === 'final' ? 'indeterminate' : ending, attempt.policy.onAbandoned)
    if (fate === 'unknown') return attempt.settle({ kind: 'unknown', digest: 'unknown' }, shared)
    if (fate !== 'lapse') return attempt.settle({ kind: 'released', retryAfterMs, digest: 'released' }, shared)
    attempt.lapse()
    return undefined
  }
}

/** An answer of 1 MiB that decodes to more than this is a bomb; its usage stays unknown. */
const maxDecodedBytes = 64 * 1024 * 1024
