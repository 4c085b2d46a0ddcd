/** What a primary and its workers tell each other, the stopping aside, which goes by signals. */
import cluster, { type Worker } from 'node:cluster'
import type { Metrics } from '../admin/index.ts'

/** From the primary. `retire`: take no new connection, finish what runs, end. */
export type Order = { readonly snapshot: number } | { readonly renew: true } | { readonly retire: true }
/** From a worker: its port once it listens, and its metrics when it was asked. */
export type Report = { readonly ready: number } | { readonly snapshot: number; readonly metrics: object[] }

/** A worker that does not answer for so long is left out of the sums. */
const answerMs = 2_000

/** What a worker does at its primary's word. */
export interface CrewHome {
  readonly metrics: Metrics | undefined
  ended(): void
  retire(): void
}

/** A worker does what its primary asks. */
export function serveCrew(home: CrewHome): void {
  process.on('message', (order: Order) => {
    if ('renew' in order) return home.ended()
    if ('retire' in order) return home.retire()
    if ('snapshot' in order) void answer(order.snapshot, home.metrics)
  })
}

async function answer(snapshot: number, metrics: Metrics | undefined): Promise<void> {
  const report: Report = { snapshot, metrics: (await metrics?.snapshot()) ?? [] }
  // The primary may have gone meanwhile.
  if (process.connected) process.send?.(report)
}

/** The primary's view of its workers. */
export class Crew {
  readonly #latest = new Map<Worker, object[]>()
  readonly #heard = new Map<number, (worker: Worker, metrics: object[]) => void>()
  #asked = 0
  /** What workers had counted that are gone, as far as it was ever asked for. */
  readonly #gone: object[][] = []
  readonly #sum: (snapshots: readonly object[][]) => Promise<object[]>

  /** `sum` brings several snapshots to one. */
  constructor(sum: (snapshots: readonly object[][]) => Promise<object[]>) {
    this.#sum = sum
  }

  /** A worker has told something. */
  hear(worker: Worker, report: Report): void {
    if ('snapshot' in report) this.#heard.get(report.snapshot)?.(worker, report.metrics)
  }

  /** A worker is gone: sums must not fall, or whoever watches them takes it for a new beginning. */
  async lose(worker: Worker): Promise<void> {
    const last = this.#latest.get(worker)
    this.#latest.delete(worker)
    if (last === undefined) return
    const kept = last.filter((metric) => ['counter', 'histogram'].includes((metric as { type: string }).type))
    this.#gone.push(kept)
    if (this.#gone.length > 1) this.#gone.splice(0, this.#gone.length, await this.#sum(this.#gone))
  }

  /** All of them renew their leases now. */
  renew(): void {
    for (const worker of connected()) worker.send({ renew: true } satisfies Order)
  }

  /** The snapshots of all workers there are, and of those that were. */
  async snapshots(): Promise<object[][]> {
    const number = ++this.#asked
    const waiting = new Set(connected())
    const workers = [...waiting]
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, answerMs)
      const done = (): void => {
        clearTimeout(timer)
        resolve()
      }
      this.#heard.set(number, (worker, metrics) => {
        this.#latest.set(worker, metrics)
        waiting.delete(worker)
        if (waiting.size === 0) done()
      })
      for (const worker of workers) worker.send({ snapshot: number } satisfies Order)
      if (workers.length === 0) done()
    })
    this.#heard.delete(number)
    return [...this.#gone, ...this.#latest.values()]
  }
}

function connected(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker): worker is Worker => worker?.isConnected() === true)
}
