/** Migration 1: the schema of Oncekey 0.2. */
import { body } from './body.ts'
import { claim } from './claim.ts'
import { keyless } from './keyless.ts'
import { lease } from './lease.ts'
import { purge } from './purge.ts'
import { settle } from './settle.ts'
import { shared } from './shared.ts'
import { sweep } from './sweep.ts'
import { tables } from './tables.ts'

/** All of it, in the order in which it has to be made. */
export const first: string = [tables, shared, claim, settle, lease, body, keyless, purge, sweep].join('\n')
