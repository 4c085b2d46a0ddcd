/** The keyless lists in LMDB: one conditional write a step. */
import type { RecordId } from '../../core/key.ts'
import { type KeylessAnswer, type KeylessEntry, keylessStep } from '../../core/keyless.ts'
import { leaseOver } from '../../core/reducer.ts'
import type { KeylessRequest } from '../../core/store.ts'
import { firstRevision, keys, putIf } from './environment.ts'
import type { StepPort } from './steps.ts'

/** One step on one list, again until nobody came in between. */
export async function keylessIn(port: StepPort, ask: KeylessRequest): Promise<KeylessAnswer> {
  const { environment, entries } = port
  const key = keys.keyless(ask.listId)
  for (;;) {
    environment.resetReadTxn()
    const now = port.time()
    const found = environment.getEntry(key)
    const list = found === undefined ? [] : listOf(found.value)
    const gone = (id: RecordId): boolean => {
      const record = ask.kind === 'adopt' ? entries.read(id, now)?.record : undefined
      return ask.kind === 'adopt' && record?.state === 'running' && leaseOver(record, ask.skewMs, now)
    }
    const step = keylessStep(list, ask, now.wallMs, gone)
    if (step.list === list || (step.list.length === 0 && found === undefined)) return step.answer
    const revision = found?.version === undefined ? firstRevision() : found.version + 1
    if (await putIf(environment, key, found?.version, Buffer.from(JSON.stringify(step.list)), revision)) {
      return step.answer
    }
  }
}

/** A list as it is kept. */
export function listOf(value: Buffer): readonly KeylessEntry[] {
  return JSON.parse(value.toString()) as KeylessEntry[]
}
