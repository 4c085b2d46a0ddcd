/** A clock that a test moves by hand. */
import type { Clock, Timer } from '../core/clock.ts'

/** Time stands still until `advance`. Wall and monotonic time can part, as they do when somebody sets the clock. */
export interface ManualClock extends Clock {
  /** Moves both times by `ms`, firing every timer that falls due in order, and lets what they set off run. */
  advance(ms: number): Promise<void>
  /** Moves wall time alone, also backwards. */
  stepWall(ms: number): void
  /** Timers that are set. */
  readonly pending: number
}

interface Alarm {
  readonly atMs: number
  readonly fire: () => void
}

/** A clock that begins at `wallMs` (epoch ms) and monotonic 0. */
export function manualClock(wallMs = 1_800_000_000_000): ManualClock {
  let nowMs = 0
  let wallOffsetMs = wallMs
  const alarms = new Set<Alarm>()

  const next = (untilMs: number): Alarm | undefined => {
    let first: Alarm | undefined
    for (const alarm of alarms) {
      if (alarm.atMs <= untilMs && (first === undefined || alarm.atMs < first.atMs)) first = alarm
    }
    return first
  }

  return {
    wallMs: () => wallOffsetMs + nowMs,
    monotonicMs: () => nowMs,
    setTimer(delayMs: number, fire: () => void): Timer {
      const alarm = { atMs: nowMs + Math.max(0, delayMs), fire }
      alarms.add(alarm)
      return { cancel: () => void alarms.delete(alarm) }
    },
    nextTurn: (run) => queueMicrotask(run),
    async advance(ms: number): Promise<void> {
      const untilMs = nowMs + ms
      await settled()
      for (let alarm = next(untilMs); alarm !== undefined; alarm = next(untilMs)) {
        alarms.delete(alarm)
        nowMs = Math.max(nowMs, alarm.atMs)
        alarm.fire()
        await settled()
      }
      nowMs = untilMs
      await settled()
    },
    stepWall(ms: number): void {
      wallOffsetMs += ms
    },
    get pending() {
      return alarms.size
    },
  }
}

/** Longest chain of promises that one timer sets off in this library, with room to spare. */
const turns = 200

/** Lets everything that is ready run; no timer of the platform is used. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve()
}
