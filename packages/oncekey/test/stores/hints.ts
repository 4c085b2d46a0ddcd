/** What the tests of hints share: records to change, and who has heard of them. */
import { expect } from 'vitest'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import type { RecordId } from '../../src/core/key.ts'
import type { AttemptId } from '../../src/core/record.ts'
import type { ClaimRequest, Settlement, Store } from '../../src/core/store.ts'

/** As long as the ids of the engine. */
export function idOf(name: string): RecordId {
  return name.padEnd(43, '-') as RecordId
}

const attemptId = 'one' as AttemptId

/** A claim of the only attempt. */
export function ask(name: string): ClaimRequest {
  return {
    recordId: idOf(name),
    attemptId,
    fingerprint: 'f' as Fingerprint,
    rawFingerprint: '',
    onAbandoned: 'unknown',
    leaseMs: 30_000,
    skewMs: 0,
    retentionMs: 86_400_000,
    tombstoneMs: 0,
  }
}

/** A settlement of that attempt. */
export function settlement(name: string, kind: Settlement['kind'], offset = 0): Settlement {
  const ids = { recordId: idOf(name), attemptId }
  switch (kind) {
    case 'dispatched':
    case 'dropped':
      return { ...ids, kind }
    case 'head':
      return { ...ids, kind, head: Buffer.from('h') }
    case 'step':
      return { ...ids, kind, name: 's', value: Buffer.from('v') }
    case 'released':
      return { ...ids, kind, retryAfterMs: 0, digest: 'd' }
    case 'unknown':
      return { ...ids, kind, digest: 'd' }
    case 'completed': {
      const rest = { offset, bytes: Buffer.from('rest') }
      return { ...ids, kind, outcome: 'value', head: Buffer.from('h'), rest, digest: 'd' }
    }
  }
}

/**
 * Redis is asked for each record's messages, and nobody is told when that has arrived: what changes before it is for
 * the poll.
 */
function arrived(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50))
}

/** Counts the hints of one record, and can wait for the next. */
export class Heard {
  count = 0
  readonly stop: () => void
  #wake: (() => void) | undefined

  constructor(store: Store, name: string) {
    const stop = store.watch?.(idOf(name), () => {
      this.count += 1
      this.#wake?.()
    })
    if (stop === undefined) throw new Error('The store has no watch.')
    this.stop = stop
  }

  /** How long a hint took that `change` brings about, ms; or undefined if none came in a second. */
  async after(change: () => Promise<unknown>): Promise<number | undefined> {
    await arrived()
    const before = this.count
    await change()
    const fromMs = performance.now()
    if (this.count > before) return 0
    let timer: NodeJS.Timeout | undefined
    const heard = await new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), 1_000)
      this.#wake = () => resolve(true)
    })
    clearTimeout(timer)
    return heard ? performance.now() - fromMs : undefined
  }
}

/** Resolves once what `writer` changes is heard by `hearer`, however often a connection has to be made. */
export async function connected(writer: Store, hearer: Store): Promise<void> {
  await writer.claim([ask('probe')])
  const heard = new Heard(hearer, 'probe')
  const told = async (): Promise<number> => {
    await writer.settle([settlement('probe', 'head')]).catch(() => undefined)
    return heard.count
  }
  await expect.poll(told, { timeout: 10_000, interval: 20 }).toBeGreaterThan(0)
  heard.stop()
}

/** Every change that others wait for, each on a record of its own; what is left unnamed changes nothing for them. */
export async function hearsOfEveryChange(writer: Store, hearer: Store): Promise<void> {
  await connected(writer, hearer)
  const piece = (name: string) => ({ recordId: idOf(name), attemptId, offset: 0, bytes: Buffer.from('piece') })
  const changes: Readonly<Record<string, (name: string) => Promise<unknown>>> = {
    completed: (name) => writer.settle([settlement(name, 'completed')]),
    released: (name) => writer.settle([settlement(name, 'released')]),
    unknown: (name) => writer.settle([settlement(name, 'unknown')]),
    head: (name) => writer.settle([settlement(name, 'head')]),
    dropped: (name) => writer.settle([settlement(name, 'dropped')]),
    append: (name) => writer.append([piece(name)]),
    resolve: (name) => {
      const fresh = 'operator' as AttemptId
      return writer.resolve([{ recordId: idOf(name), expected: attemptId, fresh, to: 'released' }])
    },
  }
  await writer.claim([ask('other'), ...Object.keys(changes).map(ask)])
  const other = new Heard(hearer, 'other')
  for (const [name, change] of Object.entries(changes)) {
    const heard = new Heard(hearer, name)
    const ms = await heard.after(() => change(name))
    expect(ms ?? Number.POSITIVE_INFINITY, name).toBeLessThan(100)
    heard.stop()
  }
  await writer.renew([{ recordId: idOf('other'), attemptId, leaseMs: 60_000 }])
  await writer.settle([settlement('other', 'dispatched')])
  // Messages come in order, so what was heard of the one is not still to come of the other.
  await connected(writer, hearer)
  expect(other.count).toBe(0)
  other.stop()
}

/** One call that changes many records is heard of by each, also where one message does not hold all ids. */
export async function hearsOfMany(writer: Store, hearer: Store): Promise<void> {
  await connected(writer, hearer)
  const names = Array.from({ length: 500 }, (_, at) => `many-${at}`)
  await writer.claim(names.map(ask))
  const heard = names.map((name) => new Heard(hearer, name))
  await arrived()
  await writer.settle(names.map((name) => settlement(name, 'completed')))
  await expect.poll(() => heard.map(({ count }) => count)).toEqual(names.map(() => 1))
  for (const { stop } of heard) stop()
}

/** Who has stopped hears nothing more, and who goes on does. */
export async function stopsOneByOne(writer: Store, hearer: Store): Promise<void> {
  await connected(writer, hearer)
  await writer.claim([ask('stopped')])
  const [one, two] = [new Heard(hearer, 'stopped'), new Heard(hearer, 'stopped')]
  one.stop()
  one.stop()
  expect(await two.after(() => writer.settle([settlement('stopped', 'head')]))).toBeLessThan(100)
  expect([one.count, two.count]).toEqual([0, 1])
  two.stop()
  const again = new Heard(hearer, 'stopped')
  expect(await again.after(() => writer.settle([settlement('stopped', 'completed')]))).toBeLessThan(100)
  expect(two.count).toBe(1)
  again.stop()
}
