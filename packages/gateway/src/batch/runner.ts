/** Runs the lines of a batch: many at a time, each until it has an end or the run is stopped. */
import { WriteError } from './appending.ts'
import type { Ask } from './ask.ts'
import { contentOf, keyOf, resultId } from './key.ts'
import type { Clock, Limiter } from './limiter.ts'
import { type BatchRequest, estimatedTokens } from './request.ts'
import { doneLine, failedLine, type ResultOf } from './result.ts'
import { Slots } from './slots.ts'
import type { Spent, Tally } from './tally.ts'
import { calledProvider, type Failure, type Verdict, verdictOf } from './verdict.ts'

/** What an answer took; undefined where the answer does not say. */
export type Price = (request: BatchRequest, answer: Buffer) => Spent | undefined

/** What a run works with. */
export interface RunnerParts {
  readonly batchId: string
  readonly concurrency: number
  readonly ask: Ask
  /** Of every request, without the key. */
  readonly headers: readonly string[]
  readonly limiter: Limiter
  readonly clock: Clock
  /** How long a line is waited for that another process runs, ms. */
  readonly waitMs: number
  readonly tally: Tally
  readonly price: Price
  /** Takes the result of a line. Throws WriteError. */
  readonly done: (index: number, line: Buffer) => Promise<void>
  readonly failed: (index: number, line: Buffer) => Promise<void>
}

/** One line on its way. */
interface Entry {
  readonly index: number
  readonly request: BatchRequest
}

/**
 * How often a line is tried that the provider does not execute: so often while it executes no other either, which is a
 * minute with back-off, and so often in all.
 */
const maxTries = { idle: 8, all: 40 }
const backOffMs = { first: 500, most: 60_000 }
/** So many lines in a row that were given up: the provider is not going to take the others. */
const givenUpInRow = 5
/** Lines that another process runs are set aside, at most so many: each is held in memory. */
const maxAside = 1_000

/** One run over the lines. */
export class Runner {
  readonly #parts: RunnerParts
  readonly #slots: Slots
  readonly #aside: Entry[] = []
  #givenUp = 0
  /** Lines that the provider has executed. */
  #progress = 0
  #why: string | undefined

  constructor(parts: RunnerParts) {
    this.#parts = parts
    this.#slots = new Slots(parts.concurrency)
  }

  /** Why the run ended before its end. */
  get stopped(): string | undefined {
    return this.#why
  }

  /** How many lines are being asked for. */
  get running(): number {
    return this.#slots.taken
  }

  /** Begins no further line; those that run are finished. */
  stop(why: string): void {
    this.#why ??= why
    this.#parts.limiter.stop()
  }

  /** Resolves when every line that was begun has ended. */
  async run(lines: AsyncIterable<Entry>): Promise<void> {
    try {
      for await (const entry of lines) {
        if (this.#why !== undefined) break
        await this.#begin(entry, true)
      }
    } catch (error) {
      this.stop(error instanceof Error ? error.message : String(error))
    }
    await this.#slots.idle()
    for (const entry of this.#aside.splice(0)) {
      if (this.#why !== undefined) break
      await this.#begin(entry, false)
    }
    await this.#slots.idle()
  }

  async #begin(entry: Entry, mayStepAside: boolean): Promise<void> {
    await this.#slots.take()
    void this.#line(entry, mayStepAside)
      // A mistake of ours ends the run, it does not go on with the next line.
      .catch((error: unknown) => this.stop(error instanceof Error ? error.message : String(error)))
      .finally(() => this.#slots.free())
  }

  async #line(entry: Entry, mayStepAside: boolean): Promise<void> {
    const { clock, limiter, waitMs } = this.#parts
    const giveUpAtMs = clock.monotonicMs() + waitMs
    const cost = { tokens: estimatedTokens(entry.request) }
    for (let tries = 1, idle = 1, seen = this.#progress; ; ) {
      if (!(await limiter.take(cost))) return
      const verdict = await this.#ask(entry, cost, mayStepAside ? 0 : 1)
      switch (verdict.kind) {
        case 'done':
          return this.#done(entry, verdict)
        case 'failed':
        case 'unknown':
          return this.#failed(entry, verdict.kind, verdict.failure)
        case 'fatal':
          this.stop(verdict.sentence)
          return
        case 'running':
          if (mayStepAside && this.#aside.length < maxAside) {
            this.#aside.push(entry)
            return
          }
          if (clock.monotonicMs() >= giveUpAtMs) return this.#failed(entry, 'failed', verdict.failure)
          break
        case 'again':
          if (idle === maxTries.idle || tries === maxTries.all) return this.#giveUp(entry, tries, verdict.failure)
          limiter.pause(verdict.hintMs ?? Math.min(backOffMs.first * 2 ** (idle - 1), backOffMs.most))
          tries += 1
          idle = seen === this.#progress ? idle + 1 : 1
          seen = this.#progress
      }
    }
  }

  /** Asks once. `waitSeconds`: how long it may wait for another process' call. */
  async #ask({ request }: Entry, cost: { readonly tokens: number }, waitSeconds: number): Promise<Verdict> {
    const { ask, batchId, headers, limiter } = this.#parts
    const { method, target, body, customId } = request
    const own = ['Idempotency-Key', `"${keyOf(batchId, customId)}"`, 'Prefer', `wait=${waitSeconds}`]
    const answer = await ask({ method, target, headers: [...headers, ...own], body })
    const verdict = verdictOf(answer)
    const called = calledProvider(verdict)
    limiter.end(cost, called ? (verdict.kind === 'again' ? 'refused' : 'taken') : 'spared')
    if (called && answer.kind === 'whole') limiter.heard(answer.headers)
    return verdict
  }

  async #done(entry: Entry, { how, answer }: Extract<Verdict, { kind: 'done' }>): Promise<void> {
    const { limiter, price, tally } = this.#parts
    tally[how] += 1
    if (how === 'executed') {
      this.#progress += 1
      this.#givenUp = 0
      const spent = price(entry.request, answer.body)
      tally.spent(spent)
      if (spent !== undefined) limiter.correct({ tokens: estimatedTokens(entry.request) }, spent.tokens)
    }
    await this.#write(() => this.#parts.done(entry.index, doneLine(this.#named(entry), answer)))
  }

  async #failed(entry: Entry, as: 'failed' | 'unknown', failure: Failure): Promise<void> {
    this.#parts.tally[as] += 1
    await this.#write(() => this.#parts.failed(entry.index, failedLine(this.#named(entry), failure)))
  }

  async #giveUp(entry: Entry, tries: number, failure: Failure): Promise<void> {
    await this.#failed(entry, 'failed', failure)
    this.#givenUp += 1
    if (this.#givenUp < givenUpInRow) return
    const said = failure.kind === 'answer' ? `answers ${failure.answer.status}` : failure.message
    this.stop(`${givenUpInRow} lines in a row were refused ${tries} times each (${said}). Run the command again later.`)
  }

  /** An output that cannot be written ends the run: whatever else were paid for could not be handed over. */
  async #write(write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      if (!(error instanceof WriteError)) throw error
      this.#parts.tally.unwritten += 1
      this.stop(error.message)
    }
  }

  #named({ index: _, request }: Entry): ResultOf {
    const { dialect, customId } = request
    return { dialect, customId, id: resultId(this.#parts.batchId, contentOf(request)) }
  }
}
