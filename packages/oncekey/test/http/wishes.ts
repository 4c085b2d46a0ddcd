/**
 * Wishes without keys, played against the exchange and against a model that says who may get whose answer: a first try
 * always executes, a retry adopts the oldest lost attempt of an equal wish and nobody else's.
 */
import type { KeylessAnswer, KeylessEntry, keylessStep } from '../../src/core/keyless.ts'
import type { Store } from '../../src/core/store.ts'
import type { UpstreamEvents } from '../../src/http/caller.ts'
import { altered } from '../stores/altered.ts'
import { type Got, type Mend, utf8, type World, world } from './world.ts'

/** What happens next; numbers choose among what is possible then. */
export type Happening =
  | { readonly kind: 'wish'; readonly tenant: number; readonly body: number; readonly process: number }
  | { readonly kind: 'hangUp' | 'begin' | 'finish' | 'cut'; readonly which: number }
  | { readonly kind: 'retry'; readonly which: number; readonly process: number }
  | { readonly kind: 'answer'; readonly which: number; readonly status: 200 | 429 | 500 }
  | { readonly kind: 'pass'; readonly ms: number }

/** Of http.md, written down again: a model that read them from the code would agree with any change. */
const windowMs = 600_000
const drainMs = 30_000
/** After each happening the system gets this long to come to rest. */
const restMs = 1_000

interface Wish {
  readonly list: string
  readonly tenant: number
  readonly body: number
  state: 'waiting' | 'broken' | 'refused' | 'served'
  request: Request
}

interface Request {
  readonly wish: number
  readonly count: number
  readonly process: number
  readonly number: number
  readonly caller: Got
  operation: Operation
  /** What its caller has to have: '' while it waits. */
  expects: string
}

interface Run {
  readonly call: number
  readonly by: Request
  leftAtMs: number | undefined
  live: boolean
}

interface Operation {
  readonly list: string
  readonly expiresAtMs: number
  /** The highest count that was given it, and whether that one is still there. */
  count: number
  left: boolean
  run: Run | undefined
  answer: string | undefined
}

const textOf = (call: number): string => `{"call":${call}}`
const begun = (call: number): string => `data: call ${call}\n\n`
const wholeOf = (call: number): string => `${begun(call)}data: [DONE]\n\n`

/** The system and its model side by side. */
class Play {
  readonly #world: World
  readonly #operations: Operation[] = []
  readonly #wishes: Wish[] = []
  /** Of each upstream call, which request made it. */
  readonly #calls: number[] = []
  readonly #aborted = new Set<number>()
  #requests = 0
  #nowMs = 0

  constructor(mend?: Mend) {
    this.#world = world({ keyless: 'retries' }, undefined, 2, mend)
  }

  /** Makes it happen in both, and compares. */
  async step(next: Happening): Promise<void> {
    this.#happen(next)
    await this.#pass(next.kind === 'pass' ? next.ms : restMs)
    this.#compare()
  }

  #happen(next: Happening): void {
    switch (next.kind) {
      case 'wish': {
        const { tenant, body } = next
        const wish = { list: `${tenant} ${body}`, tenant, body, state: 'waiting' } as Wish
        this.#wishes.push(wish)
        return this.#send(wish, 0, next.process)
      }
      case 'retry': {
        const wish = chosen(this.#wishes, next.which, ({ state }) => state === 'broken' || state === 'refused')
        return wish && this.#send(wish, wish.request.count + 1, next.process)
      }
      case 'hangUp': {
        const wish = chosen(this.#wishes, next.which, ({ state }) => state === 'waiting')
        return wish && this.#hangUp(wish.request)
      }
      case 'answer':
        return this.#answer(next.which, next.status)
      case 'begin':
        return this.#begin(next.which)
      case 'finish':
      case 'cut':
        return this.#end(next.which, next.kind === 'finish')
    }
  }

  #send(wish: Wish, count: number, process: number): void {
    const { caller } = this.#world.send({
      count,
      at: process,
      as: `Bearer ${wish.tenant}`,
      body: `{"wish":${wish.body}}`,
    })
    const number = this.#requests++
    const request = { wish: this.#wishes.indexOf(wish), count, process, number, caller, expects: '' } as Request
    wish.request = request
    wish.state = 'waiting'
    const lost = this.#operations.find(
      (one) => one.list === wish.list && this.#nowMs <= one.expiresAtMs && one.count < count && one.left,
    )
    const { list } = wish
    const fresh = { list, expiresAtMs: this.#nowMs + windowMs, run: undefined, answer: undefined } as Operation
    if (lost === undefined) this.#operations.push(fresh)
    request.operation = lost ?? fresh
    Object.assign(request.operation, { count, left: false })
    if (request.operation.answer !== undefined) this.#serve(request, request.operation.answer)
    else if (request.operation.run === undefined) this.#execute(request)
    else if (request.operation.run.live) request.expects = begun(request.operation.run.call)
  }

  #execute(request: Request): void {
    this.#calls.push(request.number)
    request.operation.run = { call: this.#calls.length - 1, by: request, leftAtMs: undefined, live: false }
  }

  #hangUp(request: Request): void {
    request.caller.leave()
    this.#gone(request)
    const { run } = request.operation
    if (run?.by === request) run.leftAtMs = this.#nowMs
  }

  #gone(request: Request): void {
    ;(this.#wishes[request.wish] as Wish).state = 'broken'
    if (request.operation.count === request.count) request.operation.left = true
  }

  #serve(request: Request, text: string): void {
    request.expects = text
    ;(this.#wishes[request.wish] as Wish).state = 'served'
  }

  #answer(which: number, status: 200 | 429 | 500): void {
    const operation = chosen(this.#operations, which, ({ run }) => run !== undefined && !run.live)
    const run = operation?.run
    if (operation === undefined || run === undefined) return
    this.#world.answer(this.#events(run.call), textOf(run.call), status)
    operation.run = undefined
    if (status === 200) operation.answer = textOf(run.call)
    for (const request of this.#attending(operation)) {
      // Of a failure only those hear who wait in the owner's process; who waits elsewhere executes.
      if (status === 200) this.#serve(request, textOf(run.call))
      else if (request.process !== run.by.process) this.#execute(request)
      else {
        request.expects = textOf(run.call)
        ;(this.#wishes[request.wish] as Wish).state = 'refused'
      }
    }
  }

  #begin(which: number): void {
    const run = chosen(this.#operations, which, (one) => one.run !== undefined && !one.run.live)?.run
    if (run === undefined) return
    run.live = true
    this.#world.stream(this.#events(run.call), begun(run.call))
    for (const request of this.#attending(run.by.operation)) request.expects = begun(run.call)
  }

  #end(which: number, whole: boolean): void {
    const operation = chosen(this.#operations, which, ({ run }) => run?.live === true)
    const run = operation?.run
    if (operation === undefined || run === undefined) return
    const events = this.#events(run.call)
    if (whole) {
      events.data(utf8.encode('data: [DONE]\n\n'))
      events.end([])
      operation.answer = wholeOf(run.call)
    } else events.fail({ code: 'upstream_unreachable', sent: true, cause: new Error('cut') })
    operation.run = undefined
    for (const request of this.#attending(operation)) {
      if (whole) this.#serve(request, wholeOf(run.call))
      else this.#gone(request)
    }
  }

  /** Who waits for it: the last one that was given it, if he is there. */
  #attending(operation: Operation): Request[] {
    const waiting = this.#wishes.filter(({ state, request }) => state === 'waiting' && request.operation === operation)
    return waiting.map(({ request }) => request)
  }

  #events(call: number): UpstreamEvents {
    return this.#world.calls[call]?.events as UpstreamEvents
  }

  /** Calls that nobody waits for are broken off at their time. */
  async #pass(ms: number): Promise<void> {
    const running = this.#operations.filter(({ run }) => run !== undefined)
    // A wait ends after ten minutes too, so no call that runs is to see the end of its window.
    if (ms > restMs && running.some((one) => this.#nowMs + ms > one.expiresAtMs - windowMs / 4)) return
    await this.#world.clock.advance(ms)
    const fromMs = this.#nowMs
    this.#nowMs += ms
    for (const operation of running) {
      const { run } = operation
      if (run?.leftAtMs === undefined) continue
      const looks = Math.floor((this.#nowMs - run.leftAtMs) / drainMs) - Math.floor((fromMs - run.leftAtMs) / drainMs)
      if (looks === 0 || operation.count !== run.by.count) continue
      this.#aborted.add(run.call)
      operation.run = undefined
    }
  }

  #compare(): void {
    const { calls } = this.#world
    agree(
      'who made the calls',
      calls.map(({ request }) => request),
      this.#calls,
    )
    agree(
      'calls broken off',
      calls.flatMap(({ aborted }, at) => (aborted ? [at] : [])),
      [...this.#aborted].sort(byNumber),
    )
    const owners = new Map<string, number>()
    for (const [at, { state, request }] of this.#wishes.entries()) {
      const { caller } = request
      const text = caller.text.replaceAll(': keep-alive\n\n', '')
      if (state !== 'broken') agree(`what wish ${at} has, ${state}`, text, request.expects)
      if (state === 'waiting' || state === 'broken') continue
      agree(`wish ${at} has all of it`, [caller.ended, caller.wasCut], [true, false])
      if (caller.status !== 200) continue
      if (owners.has(text)) throw new Error(`Wishes ${owners.get(text)} and ${at} have one answer: ${text}`)
      owners.set(text, at)
    }
  }
}

/** Plays it from the beginning; rejects with the first difference. `mend` replaces the store. */
export async function play(happenings: readonly Happening[], mend?: Mend): Promise<void> {
  const playing = new Play(mend)
  for (const next of happenings) await playing.step(next)
}

/** A store whose lists follow another rule. */
export function listsBy(step: typeof keylessStep): Mend {
  return (store, clock) => {
    const lists = new Map<string, readonly KeylessEntry[]>()
    const keyless: Store['keyless'] = async (requests) => {
      const answers: KeylessAnswer[] = []
      for (const ask of requests) {
        const { list, answer } = step(lists.get(ask.listId) ?? [], ask, clock.wallMs(), () => false)
        lists.set(ask.listId, list)
        answers.push(answer)
      }
      return answers
    }
    return altered(store, { keyless })
  }
}

function chosen<T>(all: readonly T[], which: number, fits: (one: T) => boolean): T | undefined {
  const possible = all.filter(fits)
  return possible[which % Math.max(1, possible.length)]
}

function agree(what: string, is: unknown, expected: unknown): void {
  const [one, other] = [JSON.stringify(is), JSON.stringify(expected)]
  if (one !== other) throw new Error(`${what}: ${one}, by the model ${other}`)
}

const byNumber = (one: number, other: number): number => one - other
