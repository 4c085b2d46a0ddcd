/** What every store must do, as tests: the numbered sentences of `core/store.ts` and the transitions T1–T13. */
import type { RecordId } from '../core/key.ts'
import type { Store } from '../core/store.ts'
import { ages } from './ages.ts'
import { bodies } from './bodies.ts'
import { claims } from './claims.ts'
import { lists } from './lists.ts'
import { settlements } from './settlements.ts'
import { steps } from './steps.ts'
import { type ConformanceCase, type OpenedStore, Subject } from './subject.ts'

/** The part of a test runner that the suite needs; vitest's and node:test's functions fit. */
export interface ConformanceRunner {
  test(name: string, run: () => Promise<void>): void
  /** Told of tests that these options make impossible; the name ends with the reason. */
  skip?(name: string): void
}

/** How the suite gets a store. */
export interface ConformanceOptions<Opened extends OpenedStore = OpenedStore> {
  /** Opens an empty store. Called for every test. */
  open(): Promise<Opened> | Opened
  /** A second way to the same data, as another process has it. Left out where there is none (memory). */
  reopen?(opened: Opened): Promise<Store> | Store
  /** Makes what is stored under an id unreadable. Left out where that is impossible. */
  damage?(opened: Opened, recordId: RecordId): Promise<void>
}

/** Every test, each named by the sentence or transition that it is about. */
const cases: readonly ConformanceCase[] = [...claims, ...settlements, ...bodies, ...ages, ...steps, ...lists]

/**
 * Registers the suite with a test runner: `storeConformance({ test }, { open })`. Each test opens its own store and
 * closes it; a failure throws an Error that says what was expected of which call.
 */
export function storeConformance<Opened extends OpenedStore>(
  runner: ConformanceRunner,
  options: ConformanceOptions<Opened>,
): void {
  for (const { name, needs, run } of cases) {
    if (needs !== undefined && options[needs] === undefined) {
      runner.skip?.(`${name} (this store has no ${needs})`)
      continue
    }
    runner.test(name, async () => {
      const opened = await options.open()
      const others: Store[] = []
      try {
        await run(new Subject(opened), {
          reopen: async () => {
            const other = await options.reopen?.(opened)
            if (other === undefined) throw new Error('this store cannot be reopened')
            others.push(other)
            return other
          },
          damage: async (recordId) => options.damage?.(opened, recordId),
        })
      } finally {
        for (const other of others) await other.close()
        await opened.close()
      }
    })
  }
}
