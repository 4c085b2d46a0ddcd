/** One look at a process. */
export interface Sample {
  readonly atMs: number
  readonly heapMiB: number
  readonly ownMiB: number
  readonly handles: number
  readonly delayMs: number
}
export interface Verdict {
  readonly measure: string
  readonly flat: boolean
}
export function judge(samples: readonly Sample[]): Verdict[]
