/** Hears of one covered request what it executed or was spared, for whoever writes the log and keeps the bill. */
import type { RecordId } from '../core/key.ts'
import type { EndingClass } from '../core/outcome.ts'
import type { GrantedBy } from '../core/store.ts'
import type { Usage } from '../providers/index.ts'

/** An execution at its end, just before it is settled. */
export interface Executed {
  readonly class: EndingClass
  /** Undefined where the upstream gave no answer. */
  readonly status: number | undefined
  /** What the answer says it used; undefined where it says nothing or is not whole, and then nobody knows. */
  readonly usage: Usage | undefined
  /** Its caller had gone: it was finished for a retry to come. */
  readonly drained: boolean
  /** Bytes of body about to be kept of it: 0 where they are omitted, undefined where there is no outcome to keep. */
  readonly keptBytes: number | undefined
  /** How long an outcome is kept. */
  readonly keptMs: number
}

/** One request's own; must not throw. */
export interface Account {
  /** Whose operation it is, and which. */
  named(tenant: string, recordId: RecordId): void
  /** The claim is this request's. Of a `takeover` nobody knows what the execution before it used. */
  granted(attempt: number, by: GrantedBy | 'yours'): void
  /** What is answered, a JSON value, is kept with a final outcome and comes back with each of its replays. */
  executed(ended: Executed): unknown
  /** The answer came from the record, or from an execution that somebody else had begun. `note` is that one's. */
  spared(how: 'replayed' | 'joined', note: unknown): void
}
