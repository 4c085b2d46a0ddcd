/** `oncekey/testing`: what authors of stores and adapters test with. */
export { type ManualClock, manualClock } from './clock.ts'
export {
  type ConformanceOptions,
  type ConformanceRunner,
  storeConformance,
} from './conformance.ts'
export { type Fault, type FaultyCall, type FaultyStore, faultyStore } from './faulty.ts'
export { type QueueConformanceOptions, queueConformance } from './queue-conformance.ts'
export type { OpenedQueue, QueueTestOptions } from './queue-subject.ts'
export type { OpenedStore } from './subject.ts'
