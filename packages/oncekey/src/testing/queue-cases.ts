/** What must become of the messages that are executed: once, acknowledged after settle, tried again, and parked at the end. */
import { IdempotencyError } from '../core/errors.ts'
import { final } from '../core/value.ts'
import { holds, rejected, same } from './expect.ts'
import { faultyStore } from './faulty.ts'
import { pause, type QueueSubject } from './queue-subject.ts'

/** A test of the suite. */
export interface QueueCase {
  readonly name: string
  /** Sends a message without an id, which not every broker has. */
  readonly needs?: 'no id'
  run(subject: QueueSubject): Promise<void>
}

/** In the order of the table in docs/guide/queues.md. */
export const queueCases: readonly QueueCase[] = [
  {
    name: 'Q1 a message is executed once, with its attempt, and then gone',
    async run(subject) {
      const seen: unknown[] = []
      await subject.consume((_, attempt) => void seen.push([attempt.number, attempt.fence > 0, attempt.signal.aborted]))
      await subject.queue.send('one', { order: 1 })
      await subject.until('the handler is called', () => seen.length === 1)
      await subject.empty()
      same([subject.executed, seen], [[{ order: 1 }], [[1, true, false]]], 'what was executed')
      same(await subject.queue.parked(), [], 'what was parked')
    },
  },
  {
    name: 'Q2 a message is acknowledged only after its outcome is recorded',
    async run(subject) {
      const { opened, open } = subject.gate()
      const slow = faultyStore(subject.store, (call) => (call === 'settle' ? opened : undefined))
      await subject.consume(undefined, { store: slow })
      await subject.queue.send('one', 1)
      await subject.until('the outcome is on its way', () => slow.calls.settle > 0)
      await pause(100)
      same([await subject.queue.left(), subject.verdicts], [1, []], 'before it is recorded')
      open()
      await subject.empty()
      same(subject.executed, [1], 'what was executed')
    },
  },
  {
    name: 'Q3 a message that was sent again after its end is acknowledged without executing',
    async run(subject) {
      await subject.consume()
      await subject.queue.send('one', 1)
      await subject.until('the first is done', () => subject.verdicts.length === 1)
      await subject.queue.send('one', 1)
      await subject.until('the second is done', () => subject.verdicts.length === 2)
      await subject.empty()
      same([subject.executed, subject.kinds('acknowledge').length], [[1], 2], 'executions and acknowledgements')
    },
  },
  {
    name: 'Q4 a duplicate of an executing message is given back, for a lease at least, and acknowledged later',
    async run(subject) {
      const { opened, open } = subject.gate()
      await subject.consume(() => opened)
      await subject.consume(() => opened)
      await subject.queue.send('one', 1)
      await subject.queue.send('one', 1)
      await subject.until('one is given back', () => subject.kinds('give_back').length > 0)
      const [back] = subject.kinds('give_back')
      holds(back?.kind === 'give_back' && back.afterMs >= 600, 'it comes back after lease and margin')
      await subject.left(2)
      open()
      await subject.empty()
      same([subject.executed, subject.kinds('acknowledge').length], [[1], 2], 'executions and acknowledgements')
    },
  },
  {
    name: 'Q5 with onRunning "wait" the duplicate waits for its original and is never given back',
    async run(subject) {
      const { opened, open } = subject.gate()
      for (let count = 0; count < 2; count++) await subject.consume(() => opened, { onRunning: 'wait' })
      await subject.queue.send('one', 1)
      await subject.queue.send('one', 1)
      // Longer than the lease, the visibility and the slice in which it waits.
      await pause(1_600)
      same([subject.executed, subject.verdicts], [[1], []], 'while the original executes')
      open()
      await subject.empty()
      same([subject.executed, subject.kinds('acknowledge').length], [[1], 2], 'executions and acknowledgements')
      same(subject.kinds('give_back'), [], 'what was given back')
    },
  },
  {
    name: 'Q6 a message whose outcome is unknown is parked with its record id, and never executed again',
    async run(subject) {
      let recordId = ''
      await subject.consume((_, attempt) => {
        recordId = attempt.recordId
        throw new IdempotencyError('outcome_unknown', 'The provider does not know.')
      })
      for (let sent = 1; sent <= 2; sent++) {
        await subject.queue.send('one', 1)
        await subject.until('it is parked', async () => (await subject.queue.parked()).length === sent)
      }
      await subject.empty()
      same(subject.executed, [1], 'what was executed')
      for (const text of await subject.queue.parked())
        holds(text.includes('outcome_unknown') && text.includes(recordId), `"${text}" names reason and record`)
    },
  },
  {
    name: 'Q7 a message with the id of another one is parked and not executed',
    async run(subject) {
      await subject.consume()
      await subject.queue.send('one', { order: 1 })
      await subject.until('the first is done', () => subject.verdicts.length === 1)
      await subject.queue.send('one', { order: 2 })
      await subject.until('the other is parked', async () => (await subject.queue.parked()).length === 1)
      await subject.empty()
      same(subject.executed, [{ order: 1 }], 'what was executed')
      holds((await subject.queue.parked())[0]?.includes('fingerprint_mismatch') === true, 'the reason is there')
    },
  },
  {
    name: 'Q8 a message whose handler throws is tried again after a pause, up to its attempts, and then parked',
    async run(subject) {
      const times: number[] = []
      await subject.consume((_, { number }) => {
        times.push(performance.now())
        throw new Error(`the provider said no, ${number}`)
      })
      await subject.queue.send('one', 1)
      await subject.until('it is parked', async () => (await subject.queue.parked()).length === 1)
      await subject.empty()
      same(subject.executed, [1, 1, 1], 'what was executed')
      const pauses = subject.kinds('give_back').map((verdict) => verdict.kind === 'give_back' && verdict.afterMs)
      same(pauses, [50, 100], 'the pauses')
      const [first = 0, second = 0, third = 0] = times
      // A millisecond for brokers whose clock is another one.
      holds(second - first >= 49 && third - second >= 99, 'the broker keeps to the pauses')
      const [text] = await subject.queue.parked()
      holds(text?.includes('attempts_exhausted') === true && text.includes('said no, 3'), `"${text}" says why`)
      // Whoever takes it out of there gives it its attempts anew.
      await subject.queue.send('one', 1)
      await subject.until('it is executed again', () => subject.executed.length > 3)
    },
  },
  {
    name: 'Q9 a message whose second attempt succeeds is acknowledged and not parked',
    async run(subject) {
      await subject.consume((_, { number }) => {
        if (number === 1) throw new Error('not yet')
      })
      await subject.queue.send('one', 1)
      await subject.until('it is acknowledged', () => subject.kinds('acknowledge').length === 1)
      await subject.empty()
      same([subject.executed, await subject.queue.parked()], [[1, 1], []], 'what was executed and parked')
    },
  },
  {
    name: 'Q10 a final error is parked at once, and so is its duplicate, without executing',
    async run(subject) {
      await subject.consume(() => {
        throw final(new Error('the card was refused'))
      })
      for (let sent = 1; sent <= 2; sent++) {
        await subject.queue.send('one', 1)
        await subject.until('it is parked', async () => (await subject.queue.parked()).length === sent)
      }
      await subject.empty()
      same([subject.executed, subject.kinds('give_back')], [[1], []], 'what was executed and given back')
      for (const text of await subject.queue.parked())
        holds(text.includes('handler_final') && text.includes('the card was refused'), `"${text}" says why`)
    },
  },
  {
    name: 'Q11 while the store is away a message is given back, and executed once it is there',
    async run(subject) {
      let away = true
      const store = faultyStore(subject.store, (call) => (away && call === 'claim' ? 'fail' : undefined))
      await subject.consume(undefined, { store })
      await subject.queue.send('one', 1)
      await subject.until('it is given back', () => subject.kinds('give_back').length > 0)
      await subject.left(1)
      same(subject.executed, [], 'executions while the store is away')
      away = false
      await subject.until('it is acknowledged', () => subject.kinds('acknowledge').length === 1)
      await subject.empty()
      same([subject.executed, await subject.queue.parked()], [[1], []], 'what was executed and parked')
    },
  },
  {
    name: 'Q12 a message without an id is parked with a sentence and not executed',
    needs: 'no id',
    async run(subject) {
      await subject.consume()
      await subject.queue.send(undefined, 1)
      await subject.until('it is parked', async () => (await subject.queue.parked()).length === 1)
      await subject.empty()
      same(subject.executed, [], 'what was executed')
      holds((await subject.queue.parked())[0]?.includes('has no id') === true, 'the sentence says so')
    },
  },
  {
    name: 'Q13 an execution longer than the visibility time-out stays its own, and is not handed out again',
    async run(subject) {
      await subject.consume(() => pause(2_800))
      await subject.consume(() => pause(2_800))
      await subject.queue.send('one', 1)
      await subject.until('it is acknowledged', () => subject.kinds('acknowledge').length === 1)
      await subject.empty()
      same([subject.executed, subject.verdicts.length], [[1], 1], 'what was executed, and verdicts')
    },
  },
  {
    name: 'Q14 a start whose lease is not shorter than the visibility time-out is refused, with both in a sentence',
    async run(subject) {
      const error = await rejected(subject.consume(undefined, { leaseMs: 1_200 }), 'the start')
      holds(error instanceof IdempotencyError && error.code === 'config_invalid', `it is config_invalid, not ${error}`)
      holds(/longer than leaseMs \(1200 ms\)/.test(String(error)), `"${error}" says what to do`)
    },
  },
  {
    name: 'Q15 close waits for running handlers, acknowledges theirs, and leaves the rest to others',
    async run(subject) {
      const { opened, open } = subject.gate()
      const first = await subject.consume(() => opened, { concurrency: 1 })
      await subject.queue.send('one', 1)
      await subject.until('the first is executing', () => subject.executed.length === 1)
      await subject.queue.send('two', 2)
      const closed = first.close()
      const early = await Promise.race([closed.then(() => true), pause(200).then(() => false)])
      same(early, false, 'whether it closed before its handler ended')
      open()
      await closed
      same([subject.executed, await subject.queue.left()], [[1], 1], 'after the close')
      await subject.consume()
      await subject.empty()
      same(subject.executed, [1, 2], 'what was executed at the end')
    },
  },
  {
    name: 'Q16 no more than `concurrency` messages are executed at a time',
    async run(subject) {
      let [now, most] = [0, 0]
      for (let sent = 0; sent < 12; sent++) await subject.queue.send(`m${sent}`, sent)
      await subject.consume(
        async () => {
          now += 1
          most = Math.max(most, now)
          await pause(30)
          now -= 1
        },
        { concurrency: 3 },
      )
      await subject.empty()
      same([subject.executed.length, most], [12, 3], 'executions, and most at a time')
    },
  },
  {
    name: 'Q17 close does not wait for the original of a duplicate that waits: it is left to others',
    async run(subject) {
      const { opened, open } = subject.gate()
      await subject.consume(() => opened, { onRunning: 'wait', concurrency: 1 })
      await subject.queue.send('one', 1)
      await subject.until('the original is executing', () => subject.executed.length === 1)
      const second = await subject.consume(undefined, { onRunning: 'wait', concurrency: 1 })
      await subject.queue.send('one', 1)
      await pause(300)
      const closed = await Promise.race([second.close().then(() => true), pause(5_000).then(() => false)])
      same([closed, subject.executed], [true, [1]], 'whether it closed, and what was executed')
      await subject.left(2)
      open()
      await subject.empty()
      same(subject.executed, [1], 'what was executed at the end')
    },
  },
]
