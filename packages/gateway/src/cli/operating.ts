/** What the operators' commands share: a store opened for them alone, an engine for its ids, questions and audit lines. */
import { userInfo } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { Engine, nodeDigest, systemClock, systemRandom } from 'oncekey/http'
import type { Store } from 'oncekey/store'
import { readEncryption, readPepper, UsageError } from '../config/index.ts'
import type { Operator } from '../operate/index.ts'
import type { Flags } from './flags.ts'
import { openStore, storeStartMs, within } from './store.ts'

/** Opens the store, which has to be there, runs `use`, and closes it. */
export async function withStore<T>(flags: Flags, use: (store: Store) => Promise<T>): Promise<T> {
  if (flags.store === 'memory:')
    throw new UsageError('The store memory: is gone with its process, so there is nothing to look at.')
  const opening = openStore(flags.store, { migrate: false, existing: true })
  const { store, close } = await within(storeStartMs, flags.store, opening)
  try {
    return await use(store)
  } finally {
    await close()
  }
}

/** The same with an engine, which knows the store's ids. It sweeps nothing: it is closed before its first minute is over. */
export function withEngine<T>(flags: Flags, use: (engine: Engine) => Promise<T>): Promise<T> {
  const pepper = readPepper(flags.text('pepper-file'), '--pepper-file')
  const encryption = readEncryption(flags.text('encryption-key-file'), '--encryption-key-file')
  return withStore(flags, async (store) => {
    const engine = new Engine({
      store,
      clock: systemClock,
      random: systemRandom,
      digest: nodeDigest,
      skewMs: 2_000,
      ...(pepper === undefined ? {} : { pepper }),
      ...(encryption === undefined ? {} : { encryption }),
    })
    try {
      return await use(engine)
    } finally {
      await engine.close()
    }
  })
}

/** Asks on the terminal, and writes audit lines to stderr. Throws UsageError where nobody can be asked. */
export function operatorOf(flags: Flags): Operator {
  return {
    who: user(),
    audit: (line) => process.stderr.write(`${line}\n`),
    agrees: async (question) => {
      if (flags.on('yes')) return true
      if (!process.stdin.isTTY)
        throw new UsageError('This cannot be undone, and there is no terminal to ask on. Repeat it with --yes.')
      const terminal = createInterface({ input: process.stdin, output: process.stderr })
      const answer = await terminal.question(`${question} [y/N] `)
      terminal.close()
      return /^y(es)?$/i.test(answer.trim())
    },
  }
}

/** A line on stdout. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Whose process this is, for the audit. */
export function user(): string {
  try {
    return userInfo().username
  } catch {
    // A container may run as a number that has no name.
    return String(process.getuid?.() ?? 'unknown')
  }
}
