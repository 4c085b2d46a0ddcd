/** An API that nobody has named: work that every kind of API charges for when it is begun. */
import { longWork, longWorkIf, type Preset, repeatable } from './preset.ts'

/** The rest is left to the top level, for nothing is known about it. */
export const common: Preset = {
  example: 'https://api.example.com',
  hosts: [],
  rules: [
    ...longWorkIf('background', '*/responses'),
    ...repeatable('*/cancel'),
    ...longWork(
      '*/batches',
      '*/batch/jobs',
      '*/files',
      '*/uploads',
      '*/uploads/*',
      '*/fine_tuning/jobs',
      '*/videos',
      '*/videos/*',
      '*/video/generations/jobs',
      '*:batchGenerateContent',
      '*:predictLongRunning',
      '*/async-invoke',
    ),
  ],
  restIsOnce: false,
}
