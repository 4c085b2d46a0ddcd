/** The keyless lists in LMDB: one conditional write a step. */
import type { RecordId } from '../../core/key.ts'
import { type KeylessAnswer, type KeylessEntry, keylessStep } from '../../core/keyless.ts'
import type { IdempotencyRecord } from '../../core/record.ts'
import { leaseOver, type StoreTime } from '../../core/reducer.ts'
import type { KeylessRequest } from '../../core/store.ts'
import { type Environment, keys, writeIf } from './environment.ts'

/** One step on one list, again until nobody came in between. */
export async function keylessIn(
  environment: Environment,
  ask: KeylessRequest,
  time: () => StoreTime,
  recordOf: (id: RecordId, now: StoreTime) => IdempotencyRecord | undefined,
): Promise<KeylessAnswer> {
  const key = keys.keyless(ask.listId)
  for (;;) {
    environment.resetReadTxn()
    const now = time()
    const found = environment.getEntry(key)
    const list = found === undefined ? [] : (JSON.parse(found.value.toString()) as KeylessEntry[])
    const gone = (id: RecordId): boolean => {
      const record = recordOf(id, now)
      return ask.kind === 'adopt' && record?.state === 'running' && leaseOver(record, ask.skewMs, now)
    }
    const step = keylessStep(list, ask, now.wallMs, gone)
    if (step.list === list || (step.list.length === 0 && found === undefined)) return step.answer
    const bytes = Buffer.from(JSON.stringify(step.list))
    const put = (): void => void environment.put(key, bytes, (found?.version ?? 0) + 1)
    if (await writeIf(environment, key, found?.version, put)) return step.answer
  }
}
