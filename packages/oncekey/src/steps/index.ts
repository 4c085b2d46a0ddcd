/** Named, recorded steps inside an operation. */
export { recordedSteps } from './steps.ts'
