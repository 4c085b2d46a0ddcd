/**
 * I11 on a power cut: the writes of a workload are recorded call by call, replayed up to a cut with any part of what was
 * not yet durable, and opened as after a restart. What was acknowledged must be there, whole.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fate, type Image, imageAt } from './image.ts'
import { type Fault, Judge, type Restart } from './judging.ts'
import { type Event, eventsOf, record } from './trace.ts'

const command = 'npx vitest run test/durability/power-cut'
const seed = Number(process.env['ONCEKEY_SEED'] ?? 20_262)
/** More of both, for a long search. */
const images = Number(process.env['ONCEKEY_IMAGES'] ?? 200)
const keys = 200
const controlImages = 60

const workload = fileURLToPath(new URL('workload.mjs', import.meta.url))
const root = mkdtempSync(join(tmpdir(), 'oncekey-power-cut-'))
const judge = new Judge(root, { seed, keys })
let strace: string
beforeAll(async () => {
  const tools = new URL('../../scripts/tools.mjs', import.meta.url).href
  strace = ((await import(tools)) as { ensureStrace(): string }).ensureStrace()
}, 120_000)
afterAll(() => {
  judge.close()
  rmSync(root, { recursive: true, force: true })
})

/** Mulberry32, as in the plan. */
function random(state: number): () => number {
  let a = state | 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** What two processes wrote to one new store, and the file they left. */
interface Recording {
  readonly events: readonly Event[]
  readonly left: Buffer
}

function recorded(name: string, options: object): Recording {
  const folder = join(root, name)
  const settings = { seed, keys, lanes: 6, process: 0, processes: 2, options }
  const trace = record(strace, workload, [folder, JSON.stringify(settings)])
  const path = join(folder, 'data.mdb')
  return { events: eventsOf(trace, path), left: readFileSync(path) }
}

const fates: readonly Fate[] = ['none', 'random', 'meta pages', 'random', 'data pages', 'all']

/** The image of one number: half of the cuts are at the very moment of an acknowledgement, where most is at stake. */
function imageOf({ events }: Recording, number: number): Image & { readonly cut: number; readonly fate: Fate } {
  const draw = random(seed * 1_009 + number)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(draw() * list.length)] as T
  const acks = events.filter(({ kind }) => kind === 'ack')
  const cut = pick(number % 2 === 0 ? acks : events).start + (draw() < 0.5 ? 0 : 1)
  const fate = pick(fates)
  return { ...imageAt(events, cut, fate, draw), cut, fate }
}

/** What came of many images. */
interface Verdict {
  readonly bad: readonly string[]
  readonly kinds: Readonly<Record<string, number>>
  readonly acks: number
  readonly loose: number
}

async function verdict(recording: Recording, count: number, restart: (number: number) => Restart): Promise<Verdict> {
  const bad: string[] = []
  const kinds: Record<string, number> = {}
  let acks = 0
  let loose = 0
  for (let number = 0; number < count; number++) {
    const image = imageOf(recording, number)
    acks += image.acks.length
    loose += image.loose
    const faults: readonly Fault[] = await judge.judge(image, restart(number))
    const [kind] = faults[0] ?? []
    if (kind === undefined) continue
    kinds[kind] = (kinds[kind] ?? 0) + 1
    const what = faults.slice(0, 3).map((fault) => fault.join(': '))
    bad.push(`image ${number}, cut at ${image.cut}, kept ${image.fate}, ${restart(number)}: ${what.join('; ')}`)
  }
  return { bad, kinds, acks, loose }
}

function whole({ events }: Recording): Image {
  return imageAt(events, Number.MAX_SAFE_INTEGER, 'all', random(seed))
}

const again = `Repeat with ONCEKEY_SEED=${seed} ${command}`
const restarts = (number: number): Restart => (number % 3 === 0 ? 'another boot' : 'safe restore')

describe.each([['the store as it is', {}]])('%s', (_, options) => {
  let recording: Recording
  beforeAll(() => {
    mkdirSync(root, { recursive: true })
    recording = recorded('safe', options)
  }, 90_000)

  test('the recorded writes, replayed, are the file that was left', () => {
    expect(whole(recording).bytes.equals(recording.left)).toBe(true)
  })

  test('a power cut at any moment loses nothing that was acknowledged, and leaves nothing half', async () => {
    const found = await verdict(recording, images, restarts)
    console.log(`${images} images, ${found.acks} acks, ${found.loose} loose, ${found.bad.length} bad`, found.kinds)
    expect(found.bad, again).toEqual([])
  }, 600_000)

  test('control: same boot', async () => {
    const found = await verdict(recording, controlImages, () => 'same boot')
    console.log(`same boot: ${controlImages} images, ${found.bad.length} bad`, found.kinds)
    expect(found.bad.length, again).toBeGreaterThan(0)
  }, 60_000)
})

describe('control: nosync', () => {
  test('control', async () => {
    const recording = recorded('nosync', { dangerouslyNoSync: true })
    expect(whole(recording).bytes.equals(recording.left)).toBe(true)
    expect(await judge.judge(whole(recording), 'safe restore')).toEqual([])
    const found = await verdict(recording, controlImages, restarts)
    console.log(`nosync: ${controlImages} images, ${found.acks} acks, ${found.bad.length} bad`, found.kinds)
    expect(found.kinds['lost'], again).toBeGreaterThan(0)
  }, 60_000)
})
