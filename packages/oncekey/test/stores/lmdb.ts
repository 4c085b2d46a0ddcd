/** LMDB stores in folders of their own, with clocks that a test moves. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import type { RecordId } from '../../src/core/key.ts'
import type { Store } from '../../src/core/store.ts'
import { type LmdbStoreOptions, lmdbStore } from '../../src/stores/lmdb/index.ts'
import { manualClock, type OpenedStore } from '../../src/testing/index.ts'

/** A store under test, and more ways to its data. */
export interface OpenedLmdb extends OpenedStore {
  readonly path: string
  /** A second store on the same folder and clocks, by default of the same boot. */
  another(bootId?: string): Store
}

/** A new folder below the system's temporary one. */
export function folder(): string {
  return mkdtempSync(join(tmpdir(), 'oncekey-lmdb-'))
}

/** Opens a store in a new folder, which goes with it. */
export function openLmdb(): OpenedLmdb {
  const path = folder()
  const clock = manualClock()
  const at = (bootId: string): LmdbStoreOptions => ({
    clock: { wallMs: clock.wallMs, monotonicMs: clock.monotonicMs, bootId: () => bootId },
  })
  const store = lmdbStore(path, at('boot 1'))
  return {
    store,
    path,
    another: (bootId = 'boot 1') => lmdbStore(path, at(bootId)),
    advance: (ms) => clock.advance(ms),
    stepWall: (ms) => clock.stepWall(ms),
    close: async () => {
      await store.close()
      rmSync(path, { recursive: true, force: true })
    },
  }
}

/** Overwrites a record with a format that no version has. */
export async function damage({ path }: { readonly path: string }, recordId: RecordId): Promise<void> {
  const raw = open<Buffer, string[]>({ path, encoding: 'binary', useVersions: true, noSubdir: false })
  await raw.put(['r', recordId], Buffer.alloc(200, 250), 999)
  await raw.close()
}
