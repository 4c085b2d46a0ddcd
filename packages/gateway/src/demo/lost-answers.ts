/** Scenes 1 and 2: two answers are lost on their way back, and the SDK retries, as it does by itself. */
import { inWords } from './bill.ts'
import type { Fate } from './network.ts'
import {
  brief,
  check,
  conclude,
  type Outcome,
  outcome,
  type Show,
  tell,
  tellAttempts,
  title,
  twoWays,
  words,
} from './scene.ts'

const fates: readonly Fate[] = [{ kind: 'lose' }, { kind: 'lose' }]

/** Asks first without Oncekey, then with it. */
export async function lostAnswers(show: Show): Promise<Outcome> {
  const { stage, client, screen } = show
  const ways = twoWays(show, 'lost', 'What does the customer pay for?', `events=${words}`)

  title(show, 1, 'Without Oncekey: client -> flaky network -> provider')
  const { key, marker } = ways.without.call
  tell(show, 'header', `Idempotency-Key: ${key} (inference APIs ignore it)`)
  tellAttempts(show, ways.without)
  stage.direct.plan(fates)
  const paidThrice = await client.ask(ways.without.call)
  conclude(
    show,
    `The client got ${brief(paidThrice)}`,
    `One question, ${screen.in('red', inWords(stage.paid(marker)))}: for the provider a retry is a new order.`,
  )

  title(show, 2, 'With Oncekey: client -> flaky network -> oncekey gateway -> provider')
  const { pid } = await stage.gateway()
  tell(show, 'gateway', `process ${pid}, with its records on disk (LMDB)`)
  tell(show, 'header', `Idempotency-Key: ${key}`)
  tellAttempts(show, ways.guarded)
  stage.guarded.plan(fates)
  const paidOnce = await client.ask(ways.guarded.call)
  const came = outcome(show, 'two answers lost', ways, 3)
  check(paidOnce.how === 'replayed', `the last retry was ${paidOnce.how}, not replayed`)
  conclude(
    show,
    `The client got ${brief(paidOnce)}`,
    `One question, ${screen.in('green', inWords(came.guarded))}: the same key gets the recorded answer.`,
  )
  return came
}
