/** What has become of the lines of a run, counted exactly: each line is in one count, and together they are all. */

/** Tokens and price of one answer; the price is undefined for a model that has none. */
export interface Spent {
  readonly tokens: number
  readonly nanodollars: number | undefined
}

/** The report of a run. */
export interface Report {
  readonly batchId: string
  readonly lines: number
  /** Called now, and answered well. */
  readonly executed: number
  /** Answered from the record of an earlier call. */
  readonly replayed: number
  /** Found whole in the output of an earlier run. */
  readonly kept: number
  readonly failed: number
  /** May have been executed by a process that died, and is not run again (`--on-abandoned unknown`). */
  readonly unknown: number
  /** Not begun, or given up before anything was executed, because the run was stopped. */
  readonly left: number
  /** Of all calls of this run: lines that a dead process had begun, and that may so have been paid twice. */
  readonly takenOver: number | undefined
  /** Answers that are in the store and could not be written to the output. */
  readonly unwritten: number
  readonly tokens: number
  readonly usd: number
  /** Executed lines whose tokens or price are not known; the sums lack them. */
  readonly unpriced: number
  /** Why it ended before its end. */
  readonly stopped: string | undefined
}

/** Counts while the lines end. */
export class Tally {
  readonly lines: number
  readonly kept: number
  executed = 0
  replayed = 0
  failed = 0
  unknown = 0
  unwritten = 0
  #tokens = 0
  #nanodollars = 0
  #unpriced = 0

  constructor(lines: number, kept: number) {
    this.lines = lines
    this.kept = kept
  }

  get ended(): number {
    return this.executed + this.replayed + this.kept + this.failed + this.unknown
  }

  get usd(): number {
    return this.#nanodollars / 1e9
  }

  /** A call of this run was executed. */
  spent(spent: Spent | undefined): void {
    this.#tokens += spent?.tokens ?? 0
    this.#nanodollars += spent?.nanodollars ?? 0
    if (spent?.nanodollars === undefined) this.#unpriced += 1
  }

  report(batchId: string, takenOver: number | undefined, stopped: string | undefined): Report {
    const { lines, executed, replayed, kept, failed, unknown, unwritten } = this
    const counts = { executed, replayed, kept, failed, unknown, left: lines - this.ended, takenOver, unwritten }
    return { batchId, lines, ...counts, tokens: this.#tokens, usd: this.usd, unpriced: this.#unpriced, stopped }
  }
}
