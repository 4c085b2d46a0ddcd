/** `oncekey/testing`: what authors of stores test with. */
export { type ManualClock, manualClock } from './clock.ts'
export {
  type ConformanceOptions,
  type ConformanceRunner,
  storeConformance,
} from './conformance.ts'
export { type Fault, type FaultyCall, type FaultyStore, faultyStore } from './faulty.ts'
export type { OpenedStore } from './subject.ts'
