/** H14: the process dies between claim and answer. */
import { holds, same } from './expect.ts'
import { type CrashingServer, HttpSubject, pause, type WantedOptions } from './http-subject.ts'

/** A case that needs a process. */
export interface CrashCase {
  readonly name: string
  readonly onAbandoned: WantedOptions['onAbandoned']
  run(server: CrashingServer): Promise<void>
}

/** Kills the server while its handler runs for the first time; answers the next one over the same store. */
async function killed(server: CrashingServer, key: string): Promise<CrashingServer> {
  const lost = new HttpSubject()
    .at(server.url)
    .send({ key })
    .then(
      (got) => got.cut,
      () => true,
    )
  const untilMs = Date.now() + 10_000
  while ((await server.executions()) === 0) {
    holds(Date.now() < untilMs, 'the handler begins')
    await pause(10)
  }
  await server.kill()
  holds(await lost, 'the caller of a process that dies gets no whole answer')
  return server.restart()
}

/** The two policies. */
export const crashes: readonly CrashCase[] = [
  {
    name: 'H14 under unknown a crash after dispatch is never executed again: 409 outcome_unknown, one execution',
    onAbandoned: 'unknown',
    async run(server) {
      const next = await killed(server, 'crash')
      try {
        const subject = new HttpSubject().at(next.url)
        subject.refused(await subject.send({ key: 'crash' }), 409, 'outcome_unknown', false)
        subject.refused(await subject.send({ key: 'crash' }), 409, 'outcome_unknown', false)
        same(await next.executions(), 1, 'executions')
      } finally {
        await next.close()
      }
    },
  },
  {
    name: 'H14 under reexecute a crash is executed again by the next request, once',
    onAbandoned: 'reexecute',
    async run(server) {
      const next = await killed(server, 'crash')
      try {
        const subject = new HttpSubject().at(next.url)
        const got = await subject.send({ key: 'crash' })
        same([got.status, got.text], [200, '{"execution":2}'], 'the answer after the crash')
        await subject.replays({ key: 'crash' }, got)
        same(await next.executions(), 2, 'executions')
      } finally {
        await next.close()
      }
    },
  },
]
