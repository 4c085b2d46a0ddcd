/** Where parked messages of a JetStream consumer go: a subject of another stream, each with why it is there. */
import type { JetStreamManager, JsMsg } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import type { Parked } from './broker.ts'
import { invalid } from './rules.ts'

/** Publishes a message on the dead-letter subject; rejects when no stream has it. */
export type Park = (message: JsMsg, parked: Parked) => Promise<void>

/** Where messages are parked that nobody chose a subject for. */
interface Place {
  readonly stream: string
  readonly consumer: string
  /** The user's choice; the stream of it is his too. */
  readonly subject: string | undefined
}

/** Makes sure that parked messages are kept, in a stream that is not the consumed one. */
export async function deadLetters(manager: JetStreamManager, { stream, consumer, subject }: Place): Promise<Park> {
  const made = `${stream}_dead`
  const target = subject ?? `${made}.${consumer}`
  const keeper = await manager.streams.find(target).catch(() => undefined)
  if (keeper === stream)
    throw invalid(
      `The dead-letter subject "${target}" belongs to "${stream}" itself: parked messages would come again.`,
    )
  if (keeper === undefined && subject !== undefined)
    throw invalid(
      `The dead-letter subject "${target}" belongs to no stream, so parked messages would be lost: make one.`,
    )
  if (keeper === undefined) await manager.streams.add({ name: made, subjects: [`${made}.*`] })
  const js = manager.jetstream()
  return async (message, { reason, sentence, recordId }) => {
    const all = headers()
    for (const [name, values] of message.headers ?? []) {
      // Headers of NATS itself are instructions to the stream, its id among them.
      if (!/^nats-/i.test(name)) for (const value of values) all.append(name, value)
    }
    all.set('Oncekey-Reason', reason)
    all.set('Oncekey-Sentence', oneLine(sentence))
    if (recordId !== undefined) all.set('Oncekey-Record-Id', recordId)
    all.set('Oncekey-Subject', message.subject)
    all.set('Oncekey-Message-Id', message.headers?.get('Nats-Msg-Id') ?? '')
    // One that was published, but whose acknowledgement was lost, is not there twice.
    const msgID = `${stream}/${consumer}/${message.seq}`
    await js.publish(target, message.data, { headers: all, msgID })
  }
}

/** A header is one line. */
function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ')
}
