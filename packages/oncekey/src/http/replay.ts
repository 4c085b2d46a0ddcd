/** Answers from what is recorded or running: a replay, a join, a share of what an execution in this process ended with. */
import type { Engine } from '../core/engine.ts'
import { IdempotencyError } from '../core/errors.ts'
import { Follower } from '../core/follow.ts'
import type { RecordId } from '../core/key.ts'
import { decodeHead, type OutcomeHead } from '../core/outcome.ts'
import type { StreamReader } from '../core/reader.ts'
import type { IdempotencyRecord } from '../core/record.ts'
import type { Recording } from '../core/stream.ts'
import { offsetAfterEvent, streamScanner } from '../providers/index.ts'
import type { Account } from './account.ts'
import type { HttpCaller, HttpRequest, WholeAnswer } from './caller.ts'
import type { DecodeBody } from './fingerprint.ts'
import { fieldValue } from './headers.ts'
import { type Pumped, pump, type StreamDecoder } from './pump.ts'
import { withRecord } from './refuse.ts'
import { type AnswerStatus, codingToUndo, type Echo, ownFields, sendWhole, withoutCoding } from './respond.ts'
import { skipTo } from './resume.ts'

/** Content codings as the platform undoes them. */
export interface Codings {
  readonly decode: DecodeBody
  readonly stream: (coding: string) => StreamDecoder | undefined
}

/** What an answer from the record needs. */
export interface ReplayParts {
  readonly engine: Engine
  readonly codings: Codings
  readonly recordId: RecordId
  readonly request: HttpRequest
  readonly caller: HttpCaller
  readonly echo: Echo
  readonly skewMs: number
  readonly how: 'replayed' | 'joined'
  /** The same as the caller is told it: `inferred` where it was matched without a key. */
  readonly status: AnswerStatus
  readonly account: Account | undefined
}

/** A recorded response whose body is in hand, or is read from the store as the caller takes it. */
export async function replay(
  parts: ReplayParts,
  record: IdempotencyRecord,
  body: Uint8Array | undefined,
): Promise<Pumped> {
  const head = responseHead(parts, record.head)
  const own = ownFields(parts.status, parts.echo, record)
  if (body === undefined) {
    return told(
      parts,
      flow(parts, follow(parts, record), head, own, { there: record.bodyLength, whole: true }),
      () => head,
    )
  }
  parts.account?.spared(parts.how, head.note)
  const lastEventId = head.stream ? fieldValue(parts.request.headers, 'last-event-id') : undefined
  const from = lastEventId === undefined ? undefined : offsetAfterEvent(body, lastEventId)
  sendDecoded(
    parts,
    { status: head.status, headers: head.headers, body: from === undefined ? body : body.subarray(from) },
    own,
  )
  return 'ended'
}

/** A stream that runs in another process: its bytes through the store. */
export function join(parts: ReplayParts, record: IdempotencyRecord): Promise<Pumped> {
  const head = responseHead(parts, record.head)
  const own = ownFields(parts.status, parts.echo)
  const follower = follow(parts, record)
  const sealed = (): OutcomeHead => decodeHead(follower.sealedHead)
  return told(parts, flow(parts, follower, head, own, { there: record.bodyLength, whole: false }), sealed)
}

/** A stream that runs in this process. */
export function joinHere(parts: ReplayParts, recording: Recording): Promise<Pumped> {
  const head = responseHead(parts, recording.head)
  const own = ownFields(parts.status, parts.echo)
  const joined = flow(parts, recording.reader(0), head, own, { there: recording.visible, whole: false })
  return told(parts, joined, () => ({ ...head, note: recording.note }))
}

/** Tells the account once the body has been delivered whole: before that nobody knows that it will be. */
async function told(parts: ReplayParts, flowing: Promise<Pumped>, sealed: () => OutcomeHead): Promise<Pumped> {
  const pumped = await flowing
  if (pumped !== 'ended' || parts.account === undefined) return pumped
  parts.account.spared(parts.how, noteOf(sealed))
  return pumped
}

/** A whole answer, decoded where the caller does not take its coding. */
export function sendDecoded(parts: ReplayParts, answer: WholeAnswer, own: readonly string[]): void {
  const coding = codingToUndo(parts.request.headers, answer.headers)
  if (coding === undefined) return sendWhole(parts.caller, answer, own)
  const decoded = parts.codings.decode(coding, answer.body, Number.MAX_SAFE_INTEGER)
  // A coding nobody here can undo goes out as it is: the caller may know it after all.
  if (decoded === undefined) return sendWhole(parts.caller, answer, own)
  sendWhole(parts.caller, { ...answer, headers: withoutCoding(answer.headers), body: decoded }, own)
}

/** The answer is delivered; a head that cannot be read after that only leaves its price unknown. */
function noteOf(sealed: () => OutcomeHead): unknown {
  try {
    const head = sealed()
    return head.kind === 'response' ? head.note : undefined
  } catch {
    return undefined
  }
}

function follow(parts: ReplayParts, record: IdempotencyRecord): Follower {
  const { engine, recordId, skewMs } = parts
  return new Follower({ calls: engine.calls, clock: engine.clock, recordId, record, skewMs })
}

type ResponseHead = Extract<OutcomeHead, { kind: 'response' }>

interface FlowOptions {
  /** Bytes of the body that are there already. */
  readonly there: number
  /** They are all of it. */
  readonly whole: boolean
}

async function flow(
  parts: ReplayParts,
  source: StreamReader,
  head: ResponseHead,
  own: readonly string[],
  options: FlowOptions,
): Promise<Pumped> {
  const { caller, codings, engine, request } = parts
  const coding = codingToUndo(request.headers, head.headers)
  const decoder = coding === undefined ? undefined : codings.stream(coding)
  const lastEventId = head.stream ? fieldValue(request.headers, 'last-event-id') : undefined
  const reader = lastEventId === undefined ? source : await skipTo(source, lastEventId, engine.clock, options.there)
  const headers = decoder === undefined ? head.headers : withoutCoding(head.headers)
  const known = options.whole && decoder === undefined && reader === source
  const length = known ? ['Content-Length', String(options.there)] : []
  const commentable = head.stream && fieldValue(head.headers, 'content-encoding') === undefined
  const scanner = commentable ? streamScanner({ path: request.path }, { contentType: 'text/event-stream' }) : undefined
  const pumped = await pump(reader, caller, {
    clock: engine.clock,
    start: () => caller.start(head.status, [...headers, ...length, ...own]),
    eager: false,
    ...(decoder === undefined ? {} : { decoder }),
    ...(scanner === undefined
      ? {}
      : {
          observe: (bytes) => scanner.push(bytes),
          mayComment: () => scanner.atEventEnd && scanner.terminatorAt === undefined,
        }),
  })
  // Beginning anew would find the same.
  if (pumped === 'unstarted' && source.refusal !== undefined) throw withRecord(source.refusal, parts.recordId)
  return pumped
}

/** The head of a response. Throws `outcome_not_replayable`, naming the record, for what is none or cannot be decrypted. */
function responseHead({ recordId }: ReplayParts, bytes: Uint8Array | undefined): ResponseHead {
  try {
    const head = decodeHead(bytes)
    if (head.kind === 'response') return head
  } catch (error) {
    throw error instanceof IdempotencyError ? withRecord(error, recordId) : error
  }
  const sentence = 'This key holds a value of the library, not an HTTP response. Use another key.'
  throw new IdempotencyError('outcome_not_replayable', sentence, { recordId })
}
