/** What a store's setup is worth: its findings, how far away it is, whose clock it has, and what it survives. */
import type { Finding, RecordId, Store, StoreCapabilities } from 'oncekey/store'

/** What can be demanded of a store, the weakest first. */
export const levels = ['process', 'disk', 'replicated'] as const
/** One of {@link levels}. */
export type Level = (typeof levels)[number]

/** How often the store is asked for the median: one slow answer among them does not count. */
const reads = 20

/** A diagnosis; JSON as it is. */
export interface Diagnosis {
  readonly store: string
  readonly findings: readonly Finding[]
  /** Undefined when the store refuses to start: `refused` says why. */
  readonly roundTrip?: { readonly medianMs: number; readonly slowestMs: number; readonly reads: number }
  /** The store's clock minus this machine's, to half a round trip; 0 where they are the same one. */
  readonly clockSkewMs?: number
  readonly refused?: string
  readonly durability: StoreCapabilities['durability']
  readonly survives: readonly {
    readonly event: string
    readonly level: Level
    readonly kept: boolean
    readonly meaning: string
  }[]
  readonly demanded: Level
  /** Does the promise hold, and is it as durable as demanded? */
  readonly holds: boolean
}

/** Looks at a store and changes nothing in it. */
export async function diagnose(store: Store, demanded: Level): Promise<Diagnosis> {
  const findings = await store.diagnose()
  const measured = await measure(store)
  const { name, durability } = store.capabilities
  const broken = findings.some(({ level }) => level === 'broken') || measured.refused !== undefined
  const rank = levels.indexOf(durability as Level)
  const survives = levels.map((level, at) => {
    const { event, held, lost } = events[level]
    const kept = !broken && rank >= at
    return { event, level, kept, meaning: broken ? nothing : kept ? held : lost }
  })
  return {
    store: name,
    findings,
    ...measured,
    durability,
    survives,
    demanded,
    holds: !broken && rank >= levels.indexOf(demanded),
  }
}

const nothing = 'Nothing is promised before what is broken has been put right.'

/** In the words of somebody who has to decide whether it is enough. */
const events: Readonly<Record<Level, { readonly event: string; readonly held: string; readonly lost: string }>> = {
  process: {
    event: 'a process crashes',
    held: 'Every recorded outcome and every claim is still there; what ran ends by its policy.',
    lost: 'Records can be lost, and a retry of what was lost is executed again.',
  },
  disk: {
    event: 'the power is cut',
    held: 'What was acknowledged is on the disk.',
    lost: 'What was acknowledged last can be lost, and a retry of it is executed again.',
  },
  replicated: {
    event: 'the machine is lost',
    held: 'What was acknowledged is on another machine too.',
    lost: 'Records that no other machine has are lost with it, and their keys execute again.',
  },
}

type Measured = Pick<Diagnosis, 'roundTrip' | 'clockSkewMs' | 'refused'>

/** Times reads of a record that does not exist; the fastest one tells most about the clock. */
async function measure(store: Store): Promise<Measured> {
  const trips: { readonly ms: number; readonly skewMs: number }[] = []
  try {
    // The first one also connects and looks at the setup.
    await store.read([nobody])
    for (let count = 0; count < reads; count++) {
      const sentMs = Date.now()
      const start = performance.now()
      const [answer] = await store.read([nobody])
      const ms = performance.now() - start
      trips.push({ ms, skewMs: (answer?.nowMs ?? sentMs) - (sentMs + ms / 2) })
    }
  } catch (error) {
    return { refused: error instanceof Error ? error.message : String(error) }
  }
  const sorted = trips.toSorted((a, b) => a.ms - b.ms)
  const [fastest] = sorted
  const roundTrip = { medianMs: tenths(sorted[reads / 2]?.ms), slowestMs: tenths(sorted.at(-1)?.ms), reads }
  const clockSkewMs = store.capabilities.clock === 'host' ? 0 : Math.round(fastest?.skewMs ?? 0)
  return { roundTrip, clockSkewMs }
}

const nobody = 'oncekey-doctor' as RecordId

function tenths(ms = 0): number {
  return Math.round(ms * 10) / 10
}

/** The diagnosis as a page for a terminal. */
export function pageOf(diagnosis: Diagnosis, url: string): string {
  const { store, findings, roundTrip, clockSkewMs, refused, survives, demanded, holds } = diagnosis
  const row = (name: string, text: string): string => `${name.padEnd(14)}${text}`
  const marks = { good: 'good', weaker: 'WEAKER', broken: 'BROKEN' } as const
  return [
    row('store', `${url} (${store})`),
    ...(roundTrip === undefined
      ? []
      : [
          row(
            'round trip',
            `${roundTrip.medianMs} ms, median of ${roundTrip.reads} reads; the slowest ${roundTrip.slowestMs} ms`,
          ),
        ]),
    ...(clockSkewMs === undefined ? [] : [row('clock', clockLine(clockSkewMs))]),
    ...(refused === undefined ? [] : [row('REFUSED', refused)]),
    '',
    ...findings.flatMap(({ check, level, found, meaning }) => [
      row(marks[level], `${check}: ${found}`),
      row('', meaning),
    ]),
    '',
    ...(survives.some(({ meaning }) => meaning === nothing)
      ? [row('LOST', nothing)]
      : survives.map(({ event, kept, meaning }) => row(kept ? 'kept' : 'LOST', `when ${event}: ${meaning}`))),
    '',
    holds
      ? `This setup holds what was demanded (--level ${demanded}).`
      : `This setup does NOT hold what was demanded (--level ${demanded}).`,
  ].join('\n')
}

/** A store's leases are on its own clock, so a difference does no harm; it shifts the dates that people read. */
function clockLine(skewMs: number): string {
  if (Math.abs(skewMs) < 1_000) return `${skewMs} ms from this machine's`
  return `${skewMs} ms from this machine's. Leases run on the store's clock alone; set both by NTP, for dates are its too`
}
