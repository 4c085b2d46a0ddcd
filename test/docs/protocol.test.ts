/** docs/explanation/protocol.md and its drawing against the reducer: every way from one state to another, and no other. */
import { describe, expect, test } from 'vitest'
import type { Fingerprint } from '../../packages/oncekey/src/core/fingerprint.ts'
import type { RecordId } from '../../packages/oncekey/src/core/key.ts'
import { policyDefaults } from '../../packages/oncekey/src/core/policy.ts'
import type { AttemptId, IdempotencyRecord, OnAbandoned } from '../../packages/oncekey/src/core/record.ts'
import * as reducer from '../../packages/oncekey/src/core/reducer.ts'
import type { Settlement } from '../../packages/oncekey/src/core/store.ts'
import { plain, section, table, textOf } from './markdown.ts'

const page = textOf('docs/explanation/protocol.md')
const drawing = textOf('docs/explanation/states.svg')
const source = textOf('packages/oncekey/src/core/record.ts')

type Current = IdempotencyRecord | undefined

const recordId = 'id' as RecordId
const [one, other] = ['one' as AttemptId, 'other' as AttemptId]
const policies: readonly OnAbandoned[] = ['unknown', 'reexecute', 'reconcile', 'resume']
const nothing = new Uint8Array()

/** Short times, so that few moments stand for all: before and after the lease, its margin, the retention, the tombstone. */
const times = { leaseMs: 1_000, skewMs: 100, retentionMs: 5_000 }
const moments = [0, 500, 1_200, 5_500, 20_000]

function at(ms: number): reducer.StoreTime {
  return { wallMs: ms, leaseMs: ms, fenceFloor: 0 }
}

/** What every command that there is makes of a record at a moment. */
function nextOf(current: Current, tombstoneMs: number, now: reducer.StoreTime): Current[] {
  const next: Current[] = []
  const ask = { recordId, fingerprint: 'f' as Fingerprint, rawFingerprint: '', ...times, tombstoneMs } as const
  for (const attemptId of [one, other]) {
    for (const onAbandoned of policies)
      next.push(reducer.claim(current, { ...ask, attemptId, onAbandoned }, now).record)
    const endings: readonly Settlement[] = [
      { recordId, attemptId, kind: 'dispatched' },
      { recordId, attemptId, kind: 'released', retryAfterMs: 0, digest: 'd' },
      { recordId, attemptId, kind: 'unknown', digest: 'd' },
      {
        recordId,
        attemptId,
        kind: 'completed',
        outcome: 'value',
        head: nothing,
        rest: { offset: 0, bytes: nothing },
        digest: 'd',
      },
    ]
    for (const ending of endings) next.push(reducer.settle(current, ending, now).record)
    next.push(reducer.renew(current, { recordId, attemptId, leaseMs: times.leaseMs }, now).record)
    for (const to of ['released', 'completed', 'cancelled'] as const) {
      const outcome = { kind: 'value', head: nothing, body: nothing } as const
      const fresh = `${attemptId} resolved` as AttemptId
      next.push(reducer.resolve(current, { recordId, expected: attemptId, fresh, to, outcome }, now).record)
    }
  }
  if (current !== undefined) {
    next.push(reducer.purge(current, { recordId, expected: current.attemptId }).record)
    next.push(reducer.sweep(current, times.skewMs, now).record)
  }
  return next
}

/** Every change of state, and every change of a running record's attempt, that the reducer can be brought to. */
function waysOfReducer(): ReadonlySet<string> {
  const ways = new Set<string>()
  const seen = new Set<string>()
  const queue: { current: Current; tombstoneMs: number; moment: number }[] = [0, 5_000].map((tombstoneMs) => ({
    current: undefined,
    tombstoneMs,
    moment: 0,
  }))
  for (const { current, tombstoneMs, moment } of queue) {
    for (const later of moments.filter((ms) => ms >= moment)) {
      for (const next of nextOf(current, tombstoneMs, at(later))) {
        const [from, to] = [current?.state ?? 'absent', next?.state ?? 'absent']
        if (from !== to || (to === 'running' && current?.attemptId !== next?.attemptId)) ways.add(`${from} > ${to}`)
        // What only counts would make every retry a new record.
        const key = JSON.stringify([{ ...next, fence: 0, attempt: 0, createdAt: 0 }, tombstoneMs, later])
        if (seen.has(key)) continue
        seen.add(key)
        queue.push({ current: next, tombstoneMs, moment: later })
      }
    }
  }
  return ways
}

describe('the states', () => {
  const states = [...(/type RecordState = (.*)/.exec(source)?.[1] ?? '').matchAll(/'(\w+)'/g)].map(([, name]) => name)
  const rows = table(page, 'from', 'to', 'when')
  const told = rows.map(([from, to]) => `${from} > ${to}`)
  const drawn = [...drawing.matchAll(/data-from="(\w+)" data-to="(\w+)"/g)].map(([, from, to]) => `${from} > ${to}`)

  test('are drawn, each once, and no other', () => {
    expect(states).toHaveLength(5)
    const boxes = [...drawing.matchAll(/data-state="(\w+)">.*?<text[^>]*>(\w+)</g)]
    expect(boxes.map(([, name]) => name).sort()).toEqual(['absent', ...states].sort())
    for (const [, name, shown] of boxes) expect(shown).toBe(name)
  })
  test('change as the table says, and in no other way', () => {
    expect([...told].sort()).toEqual([...waysOfReducer()].sort())
  })
  test('are joined by arrows that the table has, none twice', () => {
    expect(new Set(drawn).size).toBe(drawn.length)
    expect(drawn.filter((way) => !told.includes(way))).toEqual([])
  })
  test('that the drawing leaves out are the ends of retention and what an operator purges', () => {
    const left = told.filter((way) => !drawn.includes(way))
    for (const [from, to, when = ''] of rows.filter(([a, b]) => left.includes(`${a} > ${b}`)))
      expect([from, to, when]).toEqual([
        from,
        to,
        expect.stringMatching(/^(?:the same|its retention is over|the sweeper)/),
      ])
  })
  test('have every transition of record.ts and of the reducer in the table, by its name', () => {
    const named = (text: string) => new Set(text.match(/\bT\d+\b/g))
    const inCode = named(source + textOf('packages/oncekey/src/core/reducer.ts').replace('T1–T13', ''))
    // T5 renews and T2 and T7 repeat: they change no state.
    const inPage = named(plain(page))
    expect([...inCode].filter((name) => !inPage.has(name))).toEqual(['T5'])
    expect([...inPage].filter((name) => !inCode.has(name))).toEqual([])
  })
})

describe('the rest of the page', () => {
  test('names every policy, and the lease and margin that are the defaults', () => {
    const rows = table(page, '`onAbandoned`', 'after ② or ③ the next caller').map(([name]) => name)
    expect(rows).toEqual(policies.map((name) => `\`${name}\``))
    const lease = section(page, 'Lease and fence')
    expect(lease).toContain(`a **lease** of ${policyDefaults.leaseMs / 1_000} s`)
    expect(lease).toContain(`**margin** of\n${policyDefaults.skewMs / 1_000} s more`)
  })
  test('says nowhere that anything is done exactly once', () => {
    expect(page.match(/exactly once/g)).toHaveLength(1)
    expect(page).toContain('**Not "exactly once".**')
  })
})
