/** Scene 3: a second client asks the same, with the same key, while the answer to the first is still coming. */
import type { Reply } from './client.ts'
import {
  check,
  compare,
  conclude,
  type Outcome,
  outcome,
  type Show,
  title,
  twoWays,
  type Way,
  withoutId,
  words,
} from './scene.ts'
import { until } from './stage.ts'

/** Long enough that the second client is there before the end, also on a slow machine. */
const gapMs = 90
const joinAfterWords = 8

/** Two streams of one question. */
interface Pair {
  readonly first: Reply
  readonly second: Reply
  /** How many words the first had when the second asked. */
  readonly missed: number
}

/** Streams twice each way; the way without Oncekey runs beside and is only counted. */
export async function joinedStream(show: Show): Promise<Outcome> {
  const ways = twoWays(show, 'stream', 'Who delivers what?', `events=${words},gap=${gapMs}`)
  title(show, 3, 'Two clients, one key: the second joins the running stream of the first')
  show.stage.guarded.onAttempt = undefined
  show.stage.direct.onAttempt = undefined
  const [separate, joined] = await Promise.all([
    streamTwice(show, ways.without, () => undefined),
    streamTwice(show, ways.guarded, (replies) => show.screen.draw(replies.map(liveLine))),
  ])
  const { first, second, missed } = joined
  const came = outcome(show, 'two clients, one stream', ways, 2)
  check(first.how === 'executed', `the first client was ${first.how}, not executed`)
  check(second.how === 'joined', `the second client was ${second.how}, not joined`)
  check(first.text === second.text && count(first) === words, 'the two clients did not get the same text')
  check(separate.first.text !== separate.second.text, 'without Oncekey both got the same text')
  show.screen.settle([
    `   client A    executed: ${count(first)} words`,
    `   client B    joined: the same ${count(second)} words, ${missed} of them at once and the others live`,
  ])
  conclude(show, compare(show, came))
  return came
}

async function streamTwice({ client }: Show, { call }: Way, heard: (replies: readonly Reply[]) => void): Promise<Pair> {
  const replies: Reply[] = [{ text: '', how: null }]
  const listen = (at: number): Promise<Reply> =>
    client.stream(call, (reply) => {
      replies[at] = reply
      heard(replies)
    })
  const first = listen(0)
  await Promise.race([first, until('the first client hears words', () => count(replies[0]) >= joinAfterWords)])
  const missed = count(replies[0])
  replies.push({ text: '', how: null })
  const [one, other] = await Promise.all([first, listen(1)])
  return { first: one, second: other, missed }
}

function count(reply: Reply | undefined): number {
  // The first piece is "Answer 5 (id):", which is billed as one word.
  return (reply?.text.match(/\):| word /g) ?? []).length
}

function liveLine({ text, how }: Reply, at: number): string {
  return `   client ${at === 0 ? 'A' : 'B'}    ${(how ?? '').padEnd(9)}${withoutId(text)}`
}
