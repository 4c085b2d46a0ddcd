/** When an upstream is not asked any more, and when it is again. */
import { beforeEach, describe, expect, test } from 'vitest'
import { Circuit, type CircuitEvent } from '../../src/forward/circuit.ts'

let nowMs: number
let events: CircuitEvent[]
let circuit: Circuit

beforeEach(() => {
  nowMs = 1_000
  events = []
  circuit = new Circuit(
    () => nowMs,
    (event) => events.push(event),
  )
})

/** A call that tries to connect for so long, in vain. */
function fail(forMs: number): void {
  expect(circuit.ask()).toBe(0)
  const startedMs = nowMs
  nowMs += forMs
  circuit.failed(startedMs, 'refused')
}

/** Five failures over more than a second. */
function open(): void {
  for (let count = 0; count < 5; count++) fail(300)
}

describe('a circuit', () => {
  test('opens after five failures in a row over a second, and refuses with the time that is left', () => {
    for (let count = 0; count < 4; count++) fail(300)
    expect([circuit.open, circuit.ask()]).toEqual([false, 0])
    fail(300)
    expect([circuit.open, circuit.ask()]).toEqual([true, 1_000])
    nowMs += 400
    expect(circuit.ask()).toBe(600)
    expect(events).toEqual([{ kind: 'opened', retryAfterMs: 1_000, cause: 'refused' }])
  })

  test('does not open for one moment in which a hundred calls failed', () => {
    for (let count = 0; count < 100; count++) circuit.ask()
    nowMs += 150
    for (let count = 0; count < 100; count++) circuit.failed(nowMs - 150, 'refused')
    expect(circuit.open).toBe(false)
  })

  test('opens for a hundred calls that have waited for a connection in vain', () => {
    for (let count = 0; count < 100; count++) circuit.ask()
    nowMs += 10_000
    for (let count = 0; count < 100; count++) circuit.failed(nowMs - 10_000, 'timeout')
    expect([circuit.ask(), events.length]).toEqual([1_000, 1])
  })

  test('does not open while a connection comes now and then', () => {
    for (let round = 0; round < 20; round++) {
      for (let count = 0; count < 4; count++) fail(500)
      circuit.connected()
    }
    expect([circuit.open, events]).toEqual([false, []])
  })

  test('lets one probe through after the pause, and the others wait for it', () => {
    open()
    nowMs += 1_000
    expect([circuit.ask(), circuit.ask(), circuit.ask()]).toEqual([0, 1_000, 1_000])
    circuit.connected()
    expect([circuit.open, circuit.ask(), circuit.ask()]).toEqual([false, 0, 0])
    expect(events.map(({ kind }) => kind)).toEqual(['opened', 'closed'])
  })

  test('pauses twice as long after each probe in vain, half a minute at most', () => {
    open()
    const pauses: number[] = []
    for (let round = 0; round < 7; round++) {
      const left = circuit.ask()
      pauses.push(left)
      nowMs += left
      fail(0)
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  })

  test('begins with the short pause again once a connection has come', () => {
    open()
    nowMs += 1_000
    fail(0)
    nowMs += 2_000
    circuit.ask()
    circuit.connected()
    open()
    expect(circuit.ask()).toBe(1_000)
  })

  test('makes the next call the probe when a probe ends before it could tell', () => {
    open()
    nowMs += 1_000
    circuit.ask()
    circuit.withdrawn(nowMs)
    expect(circuit.ask()).toBe(0)
  })

  test('hears nothing new from calls that began before it opened', () => {
    circuit.ask()
    const before = nowMs
    open()
    circuit.failed(before, 'late')
    nowMs += 1_000
    circuit.ask()
    circuit.failed(before, 'late')
    circuit.withdrawn(before)
    expect(circuit.ask()).toBe(1_000)
    expect(events).toHaveLength(1)
  })
})
