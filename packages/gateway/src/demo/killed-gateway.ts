/** Scenes 4 and 5: the gateway is killed with kill -9, once after and once before it has recorded the answer. */
import {
  brief,
  check,
  compare,
  conclude,
  type Outcome,
  outcome,
  type Show,
  tell,
  tellAttempts,
  title,
  twoWays,
  type Way,
  words,
} from './scene.ts'
import { leaseMs, until } from './stage.ts'

const noGateway = '(Without Oncekey no gateway dies: the connection breaks at that moment.)'

/** How long the provider works on the call in whose middle the gateway is killed. */
const workMs = 2_000

/** Scene 4: the outcome is on disk, so the next process replays it. */
export async function killedAfter(show: Show): Promise<Outcome> {
  const { stage, client } = show
  const ways = twoWays(show, 'after', 'When is the bill due?', `events=${words}`)
  title(show, 4, 'kill -9 of the gateway after it recorded the answer')
  tellAttempts(show, ways.guarded)
  stage.direct.plan([{ kind: 'lose' }])
  stage.guarded.plan([{ kind: 'lose', meanwhile: () => killAndRestart(show, 'before the retry') }])
  const [, reply] = await Promise.all([client.ask(ways.without.call), client.ask(ways.guarded.call)])
  const came = outcome(show, 'gateway killed after the answer', ways, 2)
  check(reply.how === 'replayed', `the retry after the restart was ${reply.how}, not replayed`)
  conclude(show, `The answer was on disk: ${brief(reply)}`, compare(show, came), noGateway)
  return came
}

/** Scene 5: nobody knows the outcome, and policy `unknown` never runs it twice. */
export async function killedDuring(show: Show): Promise<Outcome> {
  const { stage, client } = show
  const ways = twoWays(show, 'during', 'Who is liable?', `events=${words},delay=${workMs}`)
  title(show, 5, 'kill -9 of the gateway in the middle of a call')
  tellAttempts(show, ways.guarded)
  stage.direct.plan([{ kind: 'cut', when: begun(show, ways.without) }])
  const [, refusal] = await Promise.all([
    client.ask(ways.without.call),
    client.refusal(ways.guarded.call),
    begun(show, ways.guarded).then(async () => {
      await killAndRestart(show, 'while the provider works')
      tell(show, 'wait', `until the ${leaseMs / 1000} s lease of the dead process has run out`)
    }),
  ])
  const came = outcome(show, 'gateway killed in mid-call', ways, 2)
  check(refusal !== undefined, 'the retry of a call with unknown outcome got an answer')
  check(refusal?.code === 'outcome_unknown', `the retry was refused with ${refusal?.status} ${refusal?.code}`)
  conclude(
    show,
    'The provider may have done the work, so the call is not made again: the client',
    `gets ${refusal?.status} ${refusal?.code}. (--on-abandoned unknown; the default calls again.)`,
    compare(show, came),
  )
  return came
}

/** Resolves when the provider has begun to work on this call. */
function begun({ stage }: Show, { call }: Way): Promise<void> {
  return until('the provider is called', () => stage.paid(call.marker).calls > 0)
}

async function killAndRestart(show: Show, when: string): Promise<void> {
  const { stage } = show
  const { pid } = await stage.gateway()
  tell(show, 'kill -9', `the gateway (process ${pid}), ${when}`)
  await stage.killGateway()
  const restarted = await stage.gateway()
  tell(show, 'restart', `process ${restarted.pid}, on the same LMDB directory`)
}
