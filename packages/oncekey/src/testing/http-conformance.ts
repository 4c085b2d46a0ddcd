/** What every HTTP front door must do, as tests: the contract of docs/reference/headers.md, errors.md and endings.md. */
import type { ConformanceRunner } from './conformance.ts'
import { answers } from './http-answers.ts'
import { httpBodies } from './http-bodies.ts'
import { crashes } from './http-crashes.ts'
import { endings } from './http-endings.ts'
import { keys } from './http-keys.ts'
import type { Origin } from './http-origin.ts'
import { streams } from './http-streams.ts'
import {
  type CrashingServer,
  type HttpCase,
  HttpSubject,
  type OpenedServer,
  type ScriptedOrigin,
  type WantedOptions,
} from './http-subject.ts'

/** How the suite gets servers. */
export interface HttpConformanceOptions {
  /**
   * A server with an empty store, whose handler is the origin (`nodeOrigin`, `fetchOrigin`), behind the layer. Called
   * for every case.
   */
  open(origin: Origin, options: WantedOptions): Promise<OpenedServer>
  /** A server in a process of its own. Left out where there is none. */
  crash?(onAbandoned: WantedOptions['onAbandoned']): Promise<CrashingServer>
}

const cases: readonly HttpCase[] = [...httpBodies, ...answers, ...endings, ...streams, ...keys]

/**
 * Registers the suite with a test runner: `httpConformance({ test }, { open })`. Each case opens its own server and closes
 * it; a failure throws an Error that says what was expected of which request.
 */
export function httpConformance(runner: ConformanceRunner, options: HttpConformanceOptions): void {
  for (const { name, options: wanted = {}, origin = counted, run } of cases) {
    runner.test(name, async () => {
      const subject = new HttpSubject()
      const counting: Origin = (call, answer) => {
        subject.executions += 1
        return origin(call, answer, subject.door)
      }
      const server = await options.open(counting, { onAbandoned: 'reexecute', ...wanted })
      try {
        await inTime(run(subject.at(server.url)))
      } finally {
        subject.door.open()
        await server.close()
      }
    })
  }
  for (const { name, onAbandoned, run } of crashes) {
    const { crash } = options
    if (crash === undefined) {
      runner.skip?.(`${name} (this server has no process of its own)`)
      continue
    }
    runner.test(name, async () => run(await crash(onAbandoned)))
  }
}

/** Longest that a case may take: everything in it is over in a second or two on one machine, unless somebody waits for ever. */
const caseMs = 10_000

async function inTime(running: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`something of this case is not over after ${caseMs / 1000} s`)), caseMs)
  })
  await Promise.race([running, late]).finally(() => clearTimeout(timer))
}

const counted: ScriptedOrigin = ({ number }, answer) => {
  const text = `{"execution":${number}}`
  answer.head(201, { 'Content-Type': 'application/json', 'Content-Length': String(text.length) })
  answer.end(text)
}
