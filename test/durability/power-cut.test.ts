/**
 * I11 on a power cut: the writes of a workload are recorded call by call, replayed up to a cut with any part of what was
 * not yet durable, and opened as after a restart. What was acknowledged must be there, whole.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ensureProgram } from '../../scripts/tools.mjs'
import { Cuts, type Fate, fates, type Image, imageAt } from './image.ts'
import { Judge, restarts } from './judging.ts'
import { random } from './plan.mjs'
import { type Event, eventsOf, record } from './trace.ts'

const seed = Number(process.env['ONCEKEY_SEED'] ?? 20_262)
/** More for a long search. */
const images = Number(process.env['ONCEKEY_IMAGES'] ?? 200)
const controlImages = 60
const earlyImages = 40

/** Two processes share 160 keys; 8 others come one after the other, each with 8 of its own. */
const size = { shared: 160, own: 8, joiners: 8 }
const keys = size.shared + size.own * size.joiners

const root = mkdtempSync(join(tmpdir(), 'oncekey-power-cut-'))
const judge = new Judge(root, { seed, keys })
let keep = false
afterAll(() => {
  judge.close()
  if (!keep) rmSync(root, { recursive: true, force: true })
})

/** What a workload did to a new store, and the file it left. */
interface Recording {
  /** The store's folder; the trace lies beside it when it is kept. */
  readonly folder: string
  readonly trace: string
  readonly events: readonly Event[]
  readonly left: Buffer
}

/** Records anew, or takes what a failed run has kept: threads are not seeded, so only the very trace repeats it. */
async function recorded(name: string, options: object): Promise<Recording> {
  const kept = process.env['ONCEKEY_TRACE']
  const folder = kept?.endsWith(name) ? kept : join(root, name)
  const path = join(folder, 'data.mdb')
  if (folder === kept) {
    const trace = readFileSync(`${kept}.trace`, 'latin1')
    return { folder, trace, events: eventsOf(trace, path), left: readFileSync(path) }
  }
  const workload = fileURLToPath(new URL('workload.mjs', import.meta.url))
  const trace = record(ensureProgram('strace'), workload, [folder, JSON.stringify({ seed, ...size, options })])
  return { folder, trace, events: eventsOf(trace, path), left: readFileSync(path) }
}

/** Keeps a recording for another look, and says how to take it. */
function again({ folder, trace }: Recording): string {
  if (!keep) writeFileSync(`${folder}.trace`, trace, 'latin1')
  keep = true
  return `Repeat with ONCEKEY_SEED=${seed} ONCEKEY_TRACE=${folder} npx vitest run test/durability/power-cut`
}

/** Everything that was written, of calls that ended and, if so wanted, of those whose process was killed in them. */
function whole(events: readonly Event[], unended: boolean): Image {
  const ended = events.filter(({ end }) => unended || end < Number.POSITIVE_INFINITY)
  return imageAt(ended, Number.MAX_SAFE_INTEGER, 'all', random(seed))
}

/** Is the trace complete: does it explain the file, and is there enough in it to judge by? */
function isWhole({ events, left }: Recording): boolean {
  const acks = events.filter(({ kind }) => kind === 'ack').length
  return acks > keys && [true, false].some((unended) => whole(events, unended).bytes.equals(left))
}

/** What came of many images. */
interface Verdict {
  readonly bad: readonly string[]
  /** Bad images by the kind of their first fault. */
  readonly kinds: Readonly<Record<string, number>>
  readonly summary: string
}

type Draw = (number: number, draw: () => number) => number

async function verdict({ events }: Recording, count: number, cutOf: Draw): Promise<Verdict> {
  const bad: string[] = []
  const kinds: Record<string, number> = {}
  let acks = 0
  let loose = 0
  for (let number = 0; number < count; number++) {
    const draw = random(seed * 1_009 + number)
    const cut = cutOf(number, draw)
    const fate = fates[Math.floor(draw() * fates.length)] as Fate
    const restart = restarts[Math.floor(draw() * restarts.length)] ?? 'another boot'
    const image = imageAt(events, cut, fate, draw)
    acks += image.acks.length
    loose += image.loose
    const faults = await judge.judge(image, restart)
    const kind = faults[0]?.[0]
    if (kind === undefined) continue
    kinds[kind] = (kinds[kind] ?? 0) + 1
    const what = faults.slice(0, 3).map((fault) => fault.join(': '))
    bad.push(`image ${number} (cut at line ${cut}, kept: ${fate}, ${restart}): ${what.join('; ')}`)
  }
  const counts = `${count} images, ${acks} acknowledgements checked, ${loose} writes not yet durable, ${bad.length} bad`
  return { bad, kinds, summary: `${counts} ${JSON.stringify(kinds)}` }
}

/** strace is Linux's. CI runs there, and must not skip this. */
const elsewhere = process.platform !== 'linux' && process.env['CI'] === undefined

describe.skipIf(elsewhere)('the store as it is', () => {
  let recording: Recording
  let cuts: Cuts
  beforeAll(async () => {
    recording = await recorded('store', {})
    cuts = new Cuts(recording.events)
  }, 120_000)

  test('the recorded writes, replayed, are the file that was left', () => {
    if (!isWhole(recording)) expect.fail(`The trace does not explain the file.\n${again(recording)}`)
  })

  test(
    'a power cut at any moment loses nothing that was acknowledged and leaves nothing half',
    async () => {
      const found = await verdict(recording, images, (number, draw) => cuts.draw(number, draw))
      console.log(`power cut: ${found.summary}`)
      if (found.bad.length > 0) expect.fail(`${found.bad.slice(0, 10).join('\n')}\n${again(recording)}`)
    },
    60_000 + images * 1_000,
  )

  test('a power cut while the store is being made leaves one that opens, or is refused with a sentence', async () => {
    const found = await verdict(recording, earlyImages, (_, draw) => cuts.drawEarly(draw))
    console.log(`being made: ${found.summary}`)
    const rude = found.bad.filter((text) => !text.includes('unopenable: The LMDB store at'))
    if (rude.length > 0) expect.fail(`${rude.slice(0, 10).join('\n')}\n${again(recording)}`)
  }, 60_000)
})

describe.skipIf(elsewhere)('control: a store that does not sync', () => {
  test('loses what it acknowledged, though nothing is wrong with it before the cut', async () => {
    const recording = await recorded('control', { dangerouslyNoSync: true })
    expect(isWhole(recording)).toBe(true)
    expect(await judge.judge(whole(recording.events, false), 'same boot')).toEqual([])
    const acks = recording.events.filter(({ kind }) => kind === 'ack')
    const found = await verdict(
      recording,
      controlImages,
      (_, draw) => acks[Math.floor(draw() * acks.length)]?.start ?? 0,
    )
    console.log(`control: ${found.summary}`)
    expect(found.kinds['lost'] ?? 0, `seed ${seed}`).toBeGreaterThan(0)
  }, 120_000)
})
