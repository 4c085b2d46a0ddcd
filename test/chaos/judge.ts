/** Judges what chaos has led to, by what reached the provider and what its callers have in hand. */
import { expect } from 'vitest'
import type { Aftermath } from './chaos.ts'

/** One line for the log. */
export function summary(name: string, seed: number, { ends, cut, repeated, struck }: Aftermath): string {
  const count = (what: string): number => ends.filter(({ heard }) => (heard.code ?? heard.how) === what).length
  const troubles = Object.entries(struck).map(([trouble, times]) => `${trouble}: ${times}`)
  return (
    `${name}, seed ${seed}: ${ends.length} keys, ${cut} cut answers, ${repeated} repeated; in the end ` +
    `${count('replayed')} replayed, ${count('outcome_unknown')} unknown. ${troubles.join(', ')}`
  )
}

/** Under `unknown`: never two calls a key, never two answers, and what was answered stays answered. */
export function judgeUnknown({ ends, whole, cut, repeated, paid }: Aftermath): void {
  for (const { key, heard } of ends) {
    expect(paid(key), `calls of ${key}`).toBeLessThanOrEqual(1)
    expect(whole.get(key)?.size ?? 0, `different answers of ${key}`).toBeLessThanOrEqual(1)
    expect(heard.status === 200 || heard.code === 'outcome_unknown', `${heard.status} ${heard.code}`).toBe(true)
    if (heard.status === 200) expect(paid(key), `calls of ${key}, which has an answer`).toBe(1)
    else expect(whole.has(key), `${key} was answered and is unknown now`).toBe(false)
  }
  // The troubles have hit something, or this has shown nothing.
  const unknown = ends.filter(({ heard }) => heard.code === 'outcome_unknown').length
  for (const hits of [unknown, cut, repeated]) expect(hits).toBeGreaterThan(0)
}

/** Under `reexecute` keys may run twice, and still no key has two answers. */
export function judgeReexecute({ ends, whole }: Aftermath): void {
  for (const { key, heard } of ends) {
    expect(heard.status, `the end of ${key}`).toBe(200)
    expect(whole.get(key)?.size, `different answers of ${key}`).toBe(1)
  }
}
