/** `oncekey/testing`: what authors of stores and adapters test with. */
export { type ManualClock, manualClock } from './clock.ts'
export {
  type ConformanceOptions,
  type ConformanceRunner,
  storeConformance,
} from './conformance.ts'
export { type Fault, type FaultyCall, type FaultyStore, faultyStore } from './faulty.ts'
export { type HttpConformanceOptions, httpConformance } from './http-conformance.ts'
export { fetchOrigin, nodeOrigin, type Origin, type OriginAnswer, type OriginCall } from './http-origin.ts'
export type { CrashingServer, OpenedServer, WantedOptions } from './http-subject.ts'
export { type QueueConformanceOptions, queueConformance } from './queue-conformance.ts'
export type { OpenedQueue, QueueTestOptions } from './queue-subject.ts'
export type { OpenedStore } from './subject.ts'
