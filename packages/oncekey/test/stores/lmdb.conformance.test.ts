/** The LMDB store does what every store must do. */
import { test } from 'vitest'
import { storeConformance } from '../../src/testing/index.ts'
import { damage, type OpenedLmdb, openLmdb } from './lmdb.ts'

storeConformance<OpenedLmdb>({ test }, { open: openLmdb, reopen: (opened) => opened.another(), damage })
