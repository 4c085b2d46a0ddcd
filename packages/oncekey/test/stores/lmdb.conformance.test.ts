/** The LMDB store does what every store must do. */
import { test } from 'vitest'
import { storeConformance } from '../../src/testing/index.ts'
import { damage, openLmdb } from './lmdb.ts'

storeConformance({ test }, { open: openLmdb, reopen: (opened) => opened.another(), damage })
