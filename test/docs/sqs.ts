/** A queue that behaves as Amazon SQS does, in memory: receipts, a visibility time-out in whole seconds, nothing deleted by itself. */
import type { Consumer, Handler } from 'oncekey/queue'
import type { OpenedQueue } from 'oncekey/testing'

interface Kept {
  readonly Body: string
  readonly MessageAttributes: Readonly<Record<string, { readonly StringValue: string }>>
  received: number
  visibleAtMs: number
  handle: string
}

interface Ask {
  readonly QueueUrl: string
  readonly ReceiptHandle?: string
  readonly VisibilityTimeout?: number
  readonly MessageBody?: string
  readonly MessageAttributes?: Kept['MessageAttributes']
}

/** A queue and its dead-letter queue, consumed by the adapter that `start` starts. */
export function openSqs(
  start: (options: object, handler: Handler<unknown, unknown>) => Promise<Consumer>,
): OpenedQueue {
  const queues = new Map<string, Kept[]>([
    ['main', []],
    ['dead', []],
  ])
  let handles = 0
  const of = (url: string): Kept[] => queues.get(url) ?? []
  const put = (url: string, Body: string, MessageAttributes: Kept['MessageAttributes']): void =>
    void of(url).push({ Body, MessageAttributes, received: 0, visibleAtMs: 0, handle: '' })
  const held = ({ QueueUrl, ReceiptHandle }: Ask): Kept | undefined =>
    of(QueueUrl).find(({ handle }) => handle === ReceiptHandle)
  const sqs = {
    async receiveMessage({ QueueUrl, VisibilityTimeout = 30 }: Ask) {
      const nowMs = performance.now()
      const message = of(QueueUrl).find(({ visibleAtMs }) => visibleAtMs <= nowMs)
      if (message === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        return {}
      }
      handles += 1
      message.handle = `receipt ${handles}`
      message.received += 1
      message.visibleAtMs = nowMs + VisibilityTimeout * 1000
      const { Body, MessageAttributes, handle, received } = message
      const Attributes = { ApproximateReceiveCount: String(received) }
      return { Messages: [{ Body, MessageAttributes, ReceiptHandle: handle, Attributes }] }
    },
    async changeMessageVisibility(ask: Ask) {
      const message = held(ask)
      if (message !== undefined) message.visibleAtMs = performance.now() + (ask.VisibilityTimeout ?? 0) * 1000
    },
    async deleteMessage(ask: Ask) {
      const message = held(ask)
      if (message !== undefined) of(ask.QueueUrl).splice(of(ask.QueueUrl).indexOf(message), 1)
    },
    async sendMessage({ QueueUrl, MessageBody = '', MessageAttributes = {} }: Ask) {
      put(QueueUrl, MessageBody, MessageAttributes)
    },
  }
  return {
    send: async (id, body) => put('main', JSON.stringify(body), id === undefined ? {} : { id: { StringValue: id } }),
    consume: (options, handler) => start({ ...options, sqs, queueUrl: 'main', deadLetterUrl: 'dead' }, handler),
    bodyOf: (message) => JSON.parse((message as { Body: string }).Body),
    parked: async () => of('dead').map(({ MessageAttributes }) => JSON.stringify(MessageAttributes)),
    left: async () => of('main').length,
    close: async () => undefined,
  }
}
