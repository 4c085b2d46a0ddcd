/** The door through which chance enters: ids, jitter and the pepper come from here, so that a test can replay a run. */

/** A source of chance. `bytes` must be unpredictable; `fraction` (0 ≤ x < 1) is only for jitter. */
export interface Random {
  bytes(length: number): Uint8Array
  fraction(): number
}
