/** What operators ask of an engine about one operation. It comes with the first call. */
import { base64url } from './base64url.ts'
import type { Engine } from './engine.ts'
import type { RecordId } from './key.ts'
import type { IdempotencyRecord } from './record.ts'
import type { PurgeAnswer, ResolveRequest, SettleAnswer } from './store.ts'

/** T8; `outcome` is what a record resolved to a value replays from now on, undefined to release it. */
export async function resolveRecord(
  { calls, random }: Engine,
  recordId: RecordId,
  expected: IdempotencyRecord,
  outcome: ResolveRequest['outcome'],
): Promise<SettleAnswer['kind']> {
  const fresh = base64url(random.bytes(16)) as IdempotencyRecord['attemptId']
  const ids = { recordId, expected: expected.attemptId, fresh }
  const ask: ResolveRequest = outcome === undefined ? { ...ids, to: 'released' } : { ...ids, to: 'completed', outcome }
  const [answer] = await calls.within('resolve', calls.store.resolve([ask]))
  return answer?.kind ?? 'fenced'
}

/** T11 before its time. */
export async function purgeRecord({ calls }: Engine, recordId: RecordId): Promise<PurgeAnswer['kind']> {
  const { record } = await calls.read(recordId)
  if (record === undefined) return 'absent'
  const [answer] = await calls.within('purge', calls.store.purge([{ recordId, expected: record.attemptId }]))
  return answer?.kind ?? 'absent'
}
