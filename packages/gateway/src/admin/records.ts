/** The records API: what `oncekey records` does, over HTTP. */
import type { Engine, RecordId } from 'oncekey/http'
import {
  type Changed,
  change,
  type Found,
  keyInUse,
  type Operator,
  outcomeFrom,
  purge,
  recordStates,
  viewOf,
} from '../operate/index.ts'
import { type AdminAnswer, type Asked, checkedQuery } from './asked.ts'
import { AdminError } from './problem.ts'

/** What the records API works on. */
export interface RecordsParts {
  readonly engine: Engine
  /** Does this process encrypt what it writes? */
  readonly encrypts: boolean
  /** Where audit lines go. */
  readonly audit: (line: string) => void
  /** A running record was ended: its owner, if it is one of ours, should hear of it now. */
  readonly ended: () => void
}

/** The records of the store. */
export class Records {
  readonly #parts: RecordsParts

  constructor(parts: RecordsParts) {
    this.#parts = parts
  }

  /** `GET /v1/records` */
  async list({ query }: Asked): Promise<AdminAnswer> {
    checkedQuery(query, ['state', 'limit', 'cursor'])
    const { calls } = this.#parts.engine
    const state = recordStates.find((one) => one === query.get('state'))
    if (state === undefined && query.has('state'))
      throw new AdminError('request_invalid', `state must be one of ${recordStates.join(', ')}.`)
    const limit = Number(query.get('limit') ?? '50')
    if (!Number.isInteger(limit) || limit < 1 || limit > 1_000)
      throw new AdminError('request_invalid', 'limit must be a whole number from 1 to 1000.')
    const filter = { limit, ...(state === undefined ? {} : { state }) }
    const { entries, cursor } = await calls.within('scan', calls.store.scan(query.get('cursor') ?? undefined, filter))
    const records = entries.map(({ recordId, record }) => viewOf(recordId, record))
    return { status: 200, body: { records, ...(cursor === undefined ? {} : { cursor }) } }
  }

  /** `GET /v1/records/{id}` */
  async show(asked: Asked): Promise<AdminAnswer> {
    checkedQuery(asked.query, [])
    const { recordId, record, leaseLeftMs } = await this.#find(asked)
    return { status: 200, body: viewOf(recordId, record, leaseLeftMs) }
  }

  /** `POST /v1/records/{id}/resolve` */
  async resolve(asked: Asked): Promise<AdminAnswer> {
    const { engine, encrypts } = this.#parts
    checkedQuery(asked.query, ['attempt'])
    const found = await this.#find(asked)
    const outcome = given(await asked.text())
    const id = encrypts ? undefined : await keyInUse(engine, found.record)
    if (id !== undefined) {
      const sentence = `The outcomes of this store are encrypted with the key "${id}", which this gateway was not given, and this one would be in clear.`
      throw new AdminError('record_moved', `Nothing was changed: ${sentence}`)
    }
    return this.#changed(found, await change(engine, found, { to: 'completed', outcome }, this.#operator(asked)))
  }

  /** `POST /v1/records/{id}/release` */
  async release(asked: Asked): Promise<AdminAnswer> {
    checkedQuery(asked.query, ['attempt'])
    const found = await this.#find(asked)
    return this.#changed(found, await change(this.#parts.engine, found, { to: 'released' }, this.#operator(asked)))
  }

  /**
   * `DELETE /v1/records/{id}`: cancels what runs. Only with `?purge=true` does it remove what has ended: a cancel that
   * came too late, or is sent twice, must not take away the outcome that keeps the key from executing again.
   */
  async remove(asked: Asked): Promise<AdminAnswer> {
    checkedQuery(asked.query, ['attempt', 'purge'])
    const { engine } = this.#parts
    const found = await this.#find(asked)
    const { recordId, record } = found
    if (asked.query.get('purge') === 'true') {
      const kind = await purge(engine, found, this.#operator(asked))
      if (kind === 'changed') return { status: 200, body: { recordId, state: 'absent' } }
      throw moved(found, record.state === 'running' ? 'Cancel it first.' : 'Look at it again.')
    }
    // Sent twice: it is what was asked for.
    if (record.resolved && (record.state === 'unknown' || record.state === 'released'))
      return { status: 200, body: viewOf(recordId, record) }
    return this.#changed(found, await change(engine, found, { to: 'cancelled' }, this.#operator(asked)))
  }

  #operator({ who }: Asked): Operator {
    return { who, agrees: () => Promise.resolve(true), audit: this.#parts.audit }
  }

  #changed(found: Found, changed: Changed): AdminAnswer {
    if (changed.kind !== 'changed') {
      const now = changed.kind === 'moved' ? changed.record : found.record
      const hint =
        now?.state === found.record.state
          ? 'Only what runs can be cancelled, and only what is running or unknown ended.'
          : 'Look at it again.'
      throw moved({ recordId: found.recordId, record: now }, hint)
    }
    if (found.record.state === 'running') this.#parts.ended()
    return { status: 200, body: viewOf(found.recordId, changed.record) }
  }

  async #find({ operand, query }: Asked): Promise<Found & { readonly leaseLeftMs: number }> {
    const { calls } = this.#parts.engine
    const recordId = operand as RecordId
    const absent = `There is no record ${operand}: its key would execute as new.`
    if (!/^[\w-]{43}$/.test(operand)) throw new AdminError('record_absent', absent)
    const [answer] = await calls.within('read', calls.store.read([recordId]))
    if (answer?.record === undefined) throw new AdminError('record_absent', absent)
    const { record, leaseLeftMs } = answer
    const attempt = query.get('attempt')
    if (attempt !== null && attempt !== record.attemptId)
      throw moved({ recordId, record }, `It is attempt ${record.attemptId}'s, not ${attempt}'s.`)
    return { recordId, record, leaseLeftMs }
  }
}

function moved(
  { recordId, record }: { readonly recordId: string; readonly record: Found['record'] | undefined },
  hint: string,
): AdminError {
  const now = record === undefined ? 'gone' : record.state
  return new AdminError('record_moved', `Nothing was changed: record ${recordId} is ${now}. ${hint}`, {
    state: record?.state ?? 'absent',
  })
}

function given(text: string): ReturnType<typeof outcomeFrom> {
  try {
    return outcomeFrom(text)
  } catch (error) {
    throw new AdminError('request_invalid', `The body ${(error as Error).message}.`)
  }
}
