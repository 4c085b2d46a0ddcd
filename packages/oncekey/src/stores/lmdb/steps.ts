/** Atomic steps: read, reduce, write if nobody came in between, else again. */
import type { RecordId } from '../../core/key.ts'
import type * as reducer from '../../core/reducer.ts'
import type { DropBudget, Entries, Entry } from './entries.ts'
import type { Environment } from './environment.ts'

/** What one step makes of an entry. Called again, with the entry as it then is, when another write came in between. */
export type Decide<Ask, Answer> = (
  entry: Entry | undefined,
  ask: Ask,
  now: reducer.StoreTime,
) => reducer.Reduction<Answer>

/** Where the steps happen. */
export interface StepPort {
  readonly environment: Environment
  readonly entries: Entries
  time(): reducer.StoreTime
}

/** Most chunks that the writes of one round delete: about 1 ms of the machine-wide write lock. */
const dropAtOnce = 128

/**
 * One atomic step an entry. All writes of a round are begun in one turn, so that LMDB commits them together. Equal ids
 * act in order: the second waits for the first one's write.
 */
export async function steps<Ask extends { readonly recordId: RecordId }, Answer>(
  port: StepPort,
  asks: readonly Ask[],
  decide: Decide<Ask, Answer>,
  want: 'record' | 'body' = 'record',
): Promise<Answer[]> {
  const answers: Answer[] = new Array(asks.length)
  let waiting = asks.map((_, at) => at)
  while (waiting.length > 0) {
    const again: number[] = []
    const writes: Promise<unknown>[] = []
    try {
      round(port, waiting, again, writes, (at, now, writing) => {
        const ask = asks[at] as Ask
        if (writing.has(ask.recordId)) return undefined
        const entry = port.entries.read(ask.recordId, now, want)
        const reduction = decide(entry, ask, now)
        answers[at] = reduction.answer
        return { id: ask.recordId, entry, reduction }
      })
    } catch (error) {
      // One record that cannot be read fails the call; what was begun before it is not left unheard.
      await Promise.allSettled(writes)
      throw error
    }
    if (writes.length > 0) await Promise.all(writes)
    waiting = again.sort((a, b) => a - b)
  }
  return answers
}

interface Step {
  readonly id: RecordId
  readonly entry: Entry | undefined
  readonly reduction: reducer.Reduction<unknown>
}

function round(
  { environment, entries, time }: StepPort,
  waiting: readonly number[],
  again: number[],
  writes: Promise<unknown>[],
  step: (at: number, now: reducer.StoreTime, writing: ReadonlySet<RecordId>) => Step | undefined,
): void {
  environment.resetReadTxn()
  const now = time()
  const budget: DropBudget = { left: dropAtOnce }
  const writing = new Set<RecordId>()
  for (const at of waiting) {
    const done = step(at, now, writing)
    if (done === undefined) {
      again.push(at)
      continue
    }
    const { id, entry, reduction } = done
    if (reduction.record === entry?.record) continue
    writing.add(id)
    const written = entries.write(id, entry, reduction, budget)
    writes.push(written.then((won) => won || again.push(at)))
  }
}
