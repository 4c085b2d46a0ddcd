/** H6–H8, H13: what an ending means, handlers that throw, and duplicates at the same time. */
import { holds, same } from './expect.ts'
import { type HttpCase, type HttpSubject, pause, type ScriptedOrigin } from './http-subject.ts'

const first =
  (status: number, headers: Record<string, string> = {}): ScriptedOrigin =>
  ({ number }, answer) => {
    answer.head(number === 1 ? status : 200, number === 1 ? headers : {})
    answer.end(`answer ${number}`)
  }

const throwing: ScriptedOrigin = ({ number }, answer) => {
  if (number === 1) throw new Error('planted by the conformance suite')
  answer.head(200)
  answer.end(`answer ${number}`)
}

const broken: ScriptedOrigin = async ({ number }, answer) => {
  answer.head(200, { 'Content-Type': 'text/plain' })
  await answer.write('half')
  // What is written has to be on its way before the connection breaks.
  await pause(20)
  if (number === 1) throw new Error('planted by the conformance suite')
  answer.end(' and whole')
}

/** The first answer, then one that must come from a second execution. */
async function executesAgain(s: HttpSubject, status: number | undefined): Promise<void> {
  const got = await s.send({ key: 'k' })
  if (status !== undefined) same([got.status, got.header('idempotency-status')], [status, 'executed'], 'the first')
  else holds(got.status >= 500 && !got.cut, 'the caller of a handler that throws gets a whole answer, 5xx')
  const again = await s.send({ key: 'k' })
  same(
    [again.status, again.text, again.header('idempotency-status')],
    [200, 'answer 2', 'executed'],
    'the second execution',
  )
  await s.replays({ key: 'k' }, again)
  s.executed(2)
}

async function staysUnknown(s: HttpSubject): Promise<void> {
  for (let times = 0; times < 2; times++) s.refused(await s.send({ key: 'k' }), 409, 'outcome_unknown', false)
  s.executed(1)
}

/** Endings. */
export const endings: readonly HttpCase[] = [
  ...[401, 402, 403, 408, 425, 429, 503, 529].map((status) => ({
    name: `H6 ${status} means not executed: the next request executes, also under unknown`,
    options: { onAbandoned: 'unknown' } as const,
    origin: first(status),
    run: (s: HttpSubject) => executesAgain(s, status),
  })),
  {
    name: 'H6 an answer that says x-should-retry: true means not executed',
    options: { onAbandoned: 'unknown' },
    origin: first(400, { 'x-should-retry': 'true' }),
    run: (s) => executesAgain(s, 400),
  },
  {
    name: 'H6 409 with Retry-After means not executed',
    options: { onAbandoned: 'unknown' },
    origin: first(409, { 'Retry-After': '1' }),
    run: (s) => executesAgain(s, 409),
  },
  ...[500, 502, 504].flatMap((status): HttpCase[] => [
    {
      name: `H7 ${status} is indeterminate: executed again under reexecute`,
      origin: first(status),
      run: (s) => executesAgain(s, status),
    },
    {
      name: `H7 ${status} is indeterminate: never again under unknown`,
      options: { onAbandoned: 'unknown' },
      origin: first(status),
      async run(s) {
        same((await s.send({ key: 'k' })).text, 'answer 1', 'the first answer, which its own caller gets')
        await staysUnknown(s)
      },
    },
  ]),
  {
    name: 'H8 a handler that throws is indeterminate: executed again under reexecute',
    origin: throwing,
    run: (s) => executesAgain(s, undefined),
  },
  {
    name: 'H8 a handler that throws is indeterminate: never again under unknown',
    options: { onAbandoned: 'unknown' },
    origin: throwing,
    async run(s) {
      const got = await s.send({ key: 'k' })
      holds(got.status >= 500 && !got.cut, 'the caller of a handler that throws gets a whole answer, 5xx')
      await staysUnknown(s)
    },
  },
  {
    name: 'H8 a handler that throws in the middle cuts its caller, and half is never replayed',
    origin: broken,
    async run(s) {
      const got = await s.send({ key: 'k' })
      holds(got.cut, 'the caller sees that the answer broke off')
      const again = await s.send({ key: 'k' })
      same([again.text, again.header('idempotency-status')], ['half and whole', 'executed'], 'the second execution')
      await s.replays({ key: 'k' }, again)
      s.executed(2)
    },
  },
  {
    name: 'H8 a handler that throws in the middle is unknown under unknown',
    options: { onAbandoned: 'unknown' },
    origin: broken,
    async run(s) {
      holds((await s.send({ key: 'k' })).cut, 'the caller sees that the answer broke off')
      await staysUnknown(s)
    },
  },
  {
    name: 'H13 of fifty simultaneous duplicates one executes, and all get its answer',
    origin: async (_, answer) => {
      await pause(50)
      answer.head(201, { 'Content-Type': 'text/plain' })
      answer.end('once')
    },
    async run(s) {
      const all = await Promise.all(Array.from({ length: 50 }, () => s.send({ key: 'k' })))
      same([...new Set(all.map((got) => `${got.status} ${got.text}`))], ['201 once'], 'the answers')
      const how = all.map((got) => got.header('idempotency-status'))
      same(how.filter((status) => status === 'executed').length, 1, 'how many executed')
      holds(
        how.every((status) => status === 'executed' || status === 'joined' || status === 'replayed'),
        'all others joined or got the record',
      )
      s.executed(1)
    },
  },
  {
    name: 'H13 Prefer: wait bounds the wait for a running original: 409 in_progress, with a hint',
    origin: async (_, answer, door) => {
      await door.passed
      answer.head(200)
      answer.end('late')
    },
    async run(s) {
      const original = s.begin({ key: 'k' })
      await s.running()
      const got = await s.send({ key: 'k', headers: { Prefer: 'wait=0' } })
      s.refused(got, 409, 'in_progress', true)
      same(got.header('preference-applied'), 'wait=0', 'the preference')
      holds(Number(got.header('retry-after')) >= 1, 'Retry-After is there')
      holds(Number(got.header('retry-after-ms')) > 0, 'retry-after-ms is there')
      s.door.open()
      same((await original).text, 'late', 'the original')
      s.executed(1)
    },
  },
]
