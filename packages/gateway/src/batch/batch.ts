/** One run of a batch, from what an earlier run has left to the report. */
import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Appending, unwritable, WriteError } from './appending.ts'
import type { Ask } from './ask.ts'
import { type Clock, Limiter, type OwnLimits } from './limiter.ts'
import { type Order, Output } from './output.ts'
import { type Price, Runner } from './runner.ts'
import { requestsOf, type Survey } from './survey.ts'
import { type Report, Tally } from './tally.ts'

/** What a batch is run with. */
export interface BatchOptions {
  readonly survey: Survey
  readonly batchId: string
  readonly out: string
  readonly errors: string
  readonly order: Order
  readonly concurrency: number
  readonly limits: OwnLimits
  readonly ask: Ask
  /** Of every request, the credential among them. */
  readonly headers: readonly string[]
  readonly waitMs: number
  readonly price: Price
  readonly clock: Clock
  /** Lines of dead processes that were executed again; undefined where that cannot be known. */
  readonly takenOver: () => number | undefined
}

/** A batch that is set up: its output is open, and nothing is paid yet. */
export class Batch {
  readonly tally: Tally
  readonly #options: BatchOptions
  readonly #output: Output
  readonly #runner: Runner
  #errors: Appending | undefined
  #opening: Promise<Appending> | undefined

  private constructor(options: BatchOptions, output: Output) {
    this.#options = options
    this.#output = output
    this.tally = new Tally(options.survey.roll.count, output.found)
    const { batchId, concurrency, ask, headers, clock, waitMs, price, limits } = options
    this.#runner = new Runner({
      batchId,
      concurrency,
      ask,
      headers,
      limiter: new Limiter(clock, limits),
      clock,
      waitMs,
      tally: this.tally,
      price,
      done: (index, line) => output.add(index, line),
      failed: (index, line) => this.#failed(index, line),
    })
  }

  /** Opens the output. Throws UsageError where it holds something else. */
  static async open(options: BatchOptions): Promise<Batch> {
    const { survey, batchId, out, order } = options
    return new Batch(options, await Output.open(survey, batchId, out, order))
  }

  /** How many lines are running. */
  get running(): number {
    return this.#runner.running
  }

  /** Begins no further line. */
  stop(why: string): void {
    this.#runner.stop(why)
  }

  /** Runs to the end, or to the end of what runs when it is stopped. */
  async run(): Promise<Report> {
    // The failed lines of an earlier run are asked again, so its file of errors says nothing any more.
    await this.#emptyErrors()
    await this.#runner.run(this.#open())
    let stopped = this.#runner.stopped
    try {
      await this.#output.close()
    } catch (error) {
      if (!(error instanceof WriteError)) throw error
      stopped ??= error.message
    }
    await this.#errors?.close()
    return this.tally.report(this.#options.batchId, this.#options.takenOver(), stopped)
  }

  /** The lines without a result. */
  async *#open(): ReturnType<typeof requestsOf> {
    const { survey } = this.#options
    for await (const entry of requestsOf(survey)) {
      if (survey.roll.placeOf(entry.index) === undefined) yield entry
    }
  }

  async #failed(index: number, line: Buffer): Promise<void> {
    this.#opening ??= this.#openErrors()
    this.#errors = await this.#opening
    await this.#errors.append(line)
    await this.#output.add(index, line)
  }

  async #openErrors(): Promise<Appending> {
    const { errors } = this.#options
    try {
      const file = await open(errors, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o600)
      const info = await file.stat()
      return new Appending(errors, file, info.isFile() ? info.size : undefined)
    } catch (error) {
      throw unwritable(errors, error)
    }
  }

  async #emptyErrors(): Promise<void> {
    const { errors } = this.#options
    try {
      // A folder that is not there is told of now, and not with the first failed line.
      await access(dirname(errors))
    } catch (error) {
      throw unwritable(errors, error)
    }
    try {
      const file = await open(errors, constants.O_WRONLY)
      if ((await file.stat()).isFile()) await file.truncate(0)
      await file.close()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw unwritable(errors, error)
    }
  }
}
