/** Hundreds of equal wishes without keys at once, over two gateways: a third of them breaks and tries again elsewhere. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { called, type Gateway, paid, Stage } from '../e2e/harness.ts'
import { sharedStores } from './stores.ts'
import { differentBodies, type Heard, open } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

const wishes = 600
/** Half of the lost ones are answered before their retries come, half after. The official SDKs wait 0.5 s at first. */
const paces = [
  { behave: 'delay=2500', backOffMs: 3_000 },
  { behave: 'delay=5000', backOffMs: 500 },
] as const
/** Every third is lost on the way. */
const breaks = (at: number): boolean => at % 3 === 0

interface Granted {
  readonly heard: Heard
  readonly tries: number
}

/** All of them at once, as clients that count their retries; each speaks to one gateway and retries at the other. */
async function wishAll(gateways: readonly [Gateway, Gateway], prompt: string): Promise<Granted[]> {
  const everybody = called(sandbox, wishes)
  const grant = async (at: number): Promise<Granted> => {
    const { behave, backOffMs } = paces[at % 4 < 2 ? 0 : 1] as (typeof paces)[number]
    const ask = (count: number) => ({
      prompt,
      stream: at % 10 === 0,
      behave,
      headers: { 'X-Stainless-Retry-Count': String(count) },
    })
    const first = open(gateways[at % 2] as Gateway, ask(0))
    if (!breaks(at)) return { heard: await first.heard, tries: 1 }
    await everybody
    if (first.over) throw new Error('This machine took so long that an answer came before it could be lost.')
    first.hangUp()
    await first.heard
    await new Promise((resolve) => setTimeout(resolve, backOffMs))
    return { heard: await open(gateways[(at + 1) % 2] as Gateway, ask(1)).heard, tries: 2 }
  }
  return Promise.all(Array.from({ length: wishes }, (_, at) => grant(at)))
}

describe.each(sharedStores)('over %s', (_, openStore) => {
  let freshStore: () => string
  const pair = async (...flags: string[]): Promise<readonly [Gateway, Gateway]> => {
    const options = { upstream: sandbox.url, store: freshStore(), flags }
    return Promise.all([stage.gateway(options), stage.gateway(options)])
  }
  beforeAll(async () => {
    freshStore = await openStore(stage)
  })

  test('hundreds of equal wishes at once are as many calls, no answer is given twice, and every lost one is spared', async () => {
    const granted = await wishAll(await pair(), 'the same for all')
    expect(granted.filter(({ heard }) => !heard.whole || heard.status !== 200)).toEqual([])
    const heard = granted.map((one) => one.heard)
    expect(sandbox.calls).toHaveLength(wishes)
    expect(paid(sandbox)).toBe(wishes)
    expect(differentBodies(heard)).toBe(wishes)
    expect(granted.map(({ heard: { how } }) => how)).toEqual(
      granted.map(({ tries }) => (tries === 1 ? 'executed' : 'inferred')),
    )
  })

  test('the control: with --keyless off each lost one is paid again', async () => {
    const granted = await wishAll(await pair('--keyless', 'off'), 'the same for all')
    expect(granted.every(({ heard }) => heard.how === 'ignored')).toBe(true)
    expect(sandbox.calls).toHaveLength(wishes + granted.filter(({ tries }) => tries === 2).length)
  })
})
