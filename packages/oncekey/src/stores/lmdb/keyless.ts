/** The keyless lists in LMDB: one conditional write for all steps on one list. */
import type { RecordId } from '../../core/key.ts'
import { type KeylessAnswer, type KeylessCommand, type KeylessEntry, keylessSteps } from '../../core/keyless.ts'
import { leaseOver } from '../../core/reducer.ts'
import { firstRevision, keys, putIf } from './environment.ts'
import type { StepPort } from './steps.ts'

/** Steps on one list, again until nobody came in between. */
export async function keylessIn(
  port: StepPort,
  listId: string,
  commands: readonly KeylessCommand[],
): Promise<readonly KeylessAnswer[]> {
  const { environment, entries } = port
  const key = keys.keyless(listId)
  for (;;) {
    environment.resetReadTxn()
    const now = port.time()
    const found = environment.getEntry(key)
    const list = found === undefined ? [] : listOf(found.value)
    const gone = (id: RecordId, command: KeylessCommand): boolean => {
      if (command.kind !== 'adopt') return false
      const record = entries.read(id, now)?.record
      return record?.state === 'running' && leaseOver(record, command.skewMs, now)
    }
    const done = keylessSteps(list, commands, now.wallMs, gone)
    if (done.list === list || (done.list.length === 0 && found === undefined)) return done.answers
    const revision = found?.version === undefined ? firstRevision() : found.version + 1
    if (await putIf(environment, key, found?.version, Buffer.from(JSON.stringify(done.list)), revision)) {
      return done.answers
    }
  }
}

/** A list as it is kept. */
export function listOf(value: Buffer): readonly KeylessEntry[] {
  return JSON.parse(value.toString()) as KeylessEntry[]
}
