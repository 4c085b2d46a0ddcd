/** Migration 3: recorded steps, and the policy `resume`. It only adds, so processes of the version before go on beside it. */
import { records } from './records.ts'
import { resolve } from './resolve.ts'
import { settle } from './settle.ts'
import { sweep } from './sweep.ts'

/** In the order in which one needs the other. */
export const third: string = `${records}${settle}${sweep}${resolve}`
