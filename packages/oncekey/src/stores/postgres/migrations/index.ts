/** Every migration there has been. One that was released is never edited: a change is a new one at the end. */
import { first } from './0001/index.ts'
import { second } from './0002/index.ts'
import { third } from './0003/index.ts'

/** In the order in which they are applied. */
export const migrations: readonly { readonly id: number; readonly sql: string }[] = [
  { id: 1, sql: first },
  { id: 2, sql: second },
  { id: 3, sql: third },
]
