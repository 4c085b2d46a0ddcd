/** A broker in memory, small enough to read: what docs/guide/queues.md says of the port, with the ways to break it. */
import type { Broker, Delivery, Take, Verdict } from '../../src/queue/index.ts'

/** A message of the queue in memory. */
export interface Mail {
  readonly id: string | undefined
  readonly body: unknown
}

/** What a broken adapter leaves out; each is caught by a test of the suite. */
export type Defect =
  | 'acknowledges before it asks'
  | 'loses what is given back'
  | 'gives back at once'
  | 'never extends'
  | 'parks without a reason'
  | 'loses what is parked'
  | 'runs everything at once'
  | 'does not wait at the end'
  | 'forgets the id'
  | 'boasts of its patience'

interface Held {
  readonly mail: Mail
  deaths: number
  expiry: NodeJS.Timeout | undefined
}

/** The queue itself, which outlives its consumers. */
export class MemoryQueue {
  readonly ready: Held[] = []
  readonly parked: string[] = []
  left = 0
  readonly #takers = new Set<() => void>()

  send(mail: Mail): void {
    this.left += 1
    this.put({ mail, deaths: 0, expiry: undefined })
  }

  put(held: Held): void {
    this.ready.push(held)
    for (const wake of this.#takers) wake()
  }

  /** A consumer of this queue. */
  broker(visibilityMs: number, concurrency: number, defect?: Defect): Broker<Mail> {
    let taking: Take<Mail> | undefined
    let busy = 0
    let idle: (() => void) | undefined
    const most = defect === 'runs everything at once' ? Number.POSITIVE_INFINITY : concurrency
    const wake = (): void => {
      while (taking !== undefined && busy < most) {
        const held = this.ready.shift()
        if (held === undefined) return
        busy += 1
        void this.#deliver(held, taking, visibilityMs, defect).finally(() => {
          busy -= 1
          if (busy === 0) idle?.()
          wake()
        })
      }
    }
    return {
      queue: 'memory',
      visibility: { setting: 'visibilityMs', ms: defect === 'boasts of its patience' ? 60_000 : visibilityMs },
      keepsValues: false,
      start: async (take) => {
        taking = take
        this.#takers.add(wake)
        wake()
      },
      stop: async () => {
        taking = undefined
        this.#takers.delete(wake)
        if (busy > 0 && defect !== 'does not wait at the end') await new Promise<void>((resolve) => (idle = resolve))
      },
    }
  }

  async #deliver(held: Held, take: Take<Mail>, visibilityMs: number, defect: Defect | undefined): Promise<void> {
    let mine = true
    const extend = (): void => {
      clearTimeout(held.expiry)
      held.expiry = setTimeout(() => {
        mine = false
        held.deaths += 1
        this.put(held)
      }, visibilityMs)
    }
    extend()
    if (defect === 'acknowledges before it asks') this.left -= 1
    const verdict = await take({ ...this.#delivery(held, defect), ...(defect === 'never extends' ? {} : { extend }) })
    clearTimeout(held.expiry)
    // The broker hears nothing of a consumer whose time was over.
    if (mine) this.#carryOut(verdict, held, defect)
  }

  #delivery({ mail, deaths }: Held, defect: Defect | undefined): Delivery<Mail> {
    const id = defect === 'forgets the id' && mail.id !== undefined ? `${mail.id}${Math.random()}` : mail.id
    return { message: mail, id, body: mail.body, deaths }
  }

  #carryOut(verdict: Verdict, held: Held, defect: Defect | undefined): void {
    switch (verdict.kind) {
      case 'acknowledge':
        if (defect !== 'acknowledges before it asks') this.left -= 1
        return
      case 'give_back': {
        if (defect === 'loses what is given back') this.left -= 1
        else setTimeout(() => this.put(held), defect === 'gives back at once' ? 0 : verdict.afterMs)
        return
      }
      case 'park':
        this.left -= 1
        if (defect !== 'loses what is parked')
          this.parked.push(defect === 'parks without a reason' ? '' : JSON.stringify(verdict.parked))
    }
  }
}
