/** `oncekey/queue`: the port and the consumer over it, for authors of adapters. */
export type { Broker, Delivery, Parked, ParkReason, Take, Verdict } from './broker.ts'
export type { Consumer, ConsumerOptions, Handler } from './rules.ts'
export type { BrokerNeeds, QueueOptions } from './start.ts'
export { startConsumer } from './start.ts'
