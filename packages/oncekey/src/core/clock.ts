/** The door through which time enters: core never asks the platform what time it is. */

/** A timer that has been set and can be taken back. */
export interface Timer {
  cancel(): void
}

/**
 * Time as one process sees it. `monotonicMs` never steps back and is what deadlines are made of; `wallMs` is epoch ms
 * and only for people (dates in headers, events). Neither is ever compared with a store's clock.
 */
export interface Clock {
  wallMs(): number
  monotonicMs(): number
  /** Calls `fire` once after `delayMs`. A timer never keeps a process alive unless `hold` is true. */
  setTimer(delayMs: number, fire: () => void, hold?: boolean): Timer
  /** Calls `run` once, after what is ready in this turn has had its say. */
  nextTurn(run: () => void): void
}

/** Resolves after `delayMs` of the given clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(delayMs, resolve, true)
  })
}
