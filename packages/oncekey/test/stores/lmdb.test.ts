/** What only LMDB has to show: several processes, kill -9, a restart of the machine, other files in its folder. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { decodeRecord, encodeRecord } from '../../src/core/encoding.ts'
import { IdempotencyError } from '../../src/core/errors.ts'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import type { RecordId } from '../../src/core/key.ts'
import type { AttemptId, IdempotencyRecord } from '../../src/core/record.ts'
import type { ClaimRequest, Store } from '../../src/core/store.ts'
import { lmdbStore } from '../../src/stores/lmdb/index.ts'
import { folder, openLmdb } from './lmdb.ts'

const child = fileURLToPath(new URL('./lmdb-child.mjs', import.meta.url))
const closing: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function opened(): ReturnType<typeof openLmdb> {
  const store = openLmdb()
  closing.push(() => store.close())
  return store
}

/** A store on the machine's clocks, in a folder that children may share. */
function shared(): { path: string; store: Store } {
  const path = folder()
  const store = lmdbStore(path)
  closing.push(
    () => rmSync(path, { recursive: true, force: true }),
    () => store.close(),
  )
  return { path, store }
}

function started(role: string, path: string, argument: string): ChildProcess {
  const process = fork(child, [role, path, argument], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  closing.push(() => void process.kill('SIGKILL'))
  return process
}

function ask(id: string, attempt: string, over: Partial<ClaimRequest> = {}): ClaimRequest {
  return {
    recordId: id as RecordId,
    attemptId: attempt as AttemptId,
    fingerprint: 'f' as Fingerprint,
    rawFingerprint: '',
    onAbandoned: 'unknown',
    leaseMs: 30_000,
    skewMs: 0,
    retentionMs: 86_400_000,
    tombstoneMs: 0,
    ...over,
  }
}

async function stateOf(store: Store, id: string): Promise<string | undefined> {
  return (await store.read([id as RecordId]))[0]?.record?.state
}

describe('several processes on one folder', () => {
  /** What each of some children, begun at the same moment, was granted of `id-0` to `id-(count - 1)`. */
  async function grants(path: string, children: number, count: number): Promise<string[][]> {
    const all = Array.from({ length: children }, () => started('claim', path, String(count)))
    await Promise.all(all.map((one) => once(one, 'message')))
    const answers = all.map((one) => once(one, 'message'))
    for (const one of all) one.send('go')
    return (await Promise.all(answers)).map(([answer]) => (answer as { granted: string[] }).granted)
  }

  test('of three processes that claim the same 2,000 ids, one is granted each', async () => {
    const { path } = shared()
    const granted = await grants(path, 3, 2_000)
    expect(granted.flat().length).toBe(2_000)
    expect(new Set(granted.flat()).size).toBe(2_000)
  })

  test('of three processes that take over the same 1,000 lapsed records, one gets each', async () => {
    const { path, store } = shared()
    for (let from = 0; from < 1_000; from += 500) {
      await store.claim(Array.from({ length: 500 }, (_, at) => ask(`id-${from + at}`, 'gone', { leaseMs: 1 })))
    }
    const granted = await grants(path, 3, 1_000)
    expect(granted.flat().length).toBe(1_000)
    expect(new Set(granted.flat()).size).toBe(1_000)
    for (const [index, { record }] of (await store.read(granted[0] as RecordId[])).entries()) {
      expect(record?.attempt, granted[0]?.[index]).toBe(2)
    }
  })

  test('what another process has committed is seen by the next call', async () => {
    const { path, store } = shared()
    const other = started('settle', path, 'seen')
    for (let seen = 0; seen < 200; seen++) {
      const [id] = (await once(other, 'message')) as [string]
      expect(await stateOf(store, id)).toBe('completed')
    }
  })

  test('kill -9 in the middle of writes keeps every acknowledged settle, and the others go on', async () => {
    const { path, store } = shared()
    for (let round = 0; round < 6; round++) {
      const acknowledged: string[] = []
      const victim = started('settle', path, `round-${round}`)
      victim.on('message', (id) => acknowledged.push(String(id)))
      while (acknowledged.length < 150 + 37 * round) await once(victim, 'message')
      victim.kill('SIGKILL')
      await once(victim, 'exit')
      // The lock that the killed process may have held is taken over, or this would never be answered.
      const [own] = await store.claim([ask(`own-${round}`, 'own')])
      expect(own?.kind).toBe('granted')
      const fresh = lmdbStore(path)
      const found = await fresh.claim(acknowledged.map((id) => ask(id, 'later')))
      for (const [at, answer] of found.entries()) {
        const id = acknowledged[at] ?? ''
        expect(answer.kind === 'held' && answer.record.state, id).toBe('completed')
        const body = answer.kind === 'held' ? answer.body : undefined
        expect(Buffer.from(body ?? []).toString(), id).toBe(id.repeat(1 + (id.length % 50)))
      }
      await fresh.close()
    }
  })

  test('a claim that was decided before its id was claimed and purged elsewhere still gets a higher fence', async () => {
    const { path, store } = opened()
    let elsewhere = 0
    const slow = {
      ...ask('purged', 'slow', { onAbandoned: 'reexecute' }),
      // The reducer reads this when the record has been read and the fence is decided: here the process stands still.
      get leaseMs(): number {
        if (elsewhere === 0) {
          const later = String(1_800_000_000_000 + 3_600_000)
          elsewhere = Number(execFileSync(process.execPath, [child, 'purge', path, later]).toString())
        }
        return 30_000
      },
    }
    const [answer] = await store.claim([slow])
    expect(elsewhere).toBeGreaterThan(1_800_000_000_000_000)
    expect(answer?.kind).toBe('granted')
    expect(answer?.kind === 'granted' && answer.record.fence).toBeGreaterThan(elsewhere)
    expect((await store.read(['purged' as RecordId]))[0]?.record?.fence).toBeGreaterThan(elsewhere)
  })
})

describe('a restart of the machine', () => {
  test('ends every lease, whatever the monotonic clock says, and the policy decides', async () => {
    const { store, another } = opened()
    const asks = [
      ask('safe', 'a', { leaseMs: 86_400_000 }),
      ask('begun', 'a', { leaseMs: 86_400_000 }),
      ask('again', 'a', { leaseMs: 86_400_000, onAbandoned: 'reexecute' }),
    ]
    await store.claim(asks)
    await store.settle([{ recordId: 'begun' as RecordId, attemptId: 'a' as AttemptId, kind: 'dispatched' }])
    const sameBoot = await another().claim(asks.map((one) => ({ ...one, attemptId: 'b' as AttemptId })))
    expect(sameBoot.map(({ kind }) => kind)).toEqual(['held', 'held', 'held'])
    const afterwards = another('boot 2')
    const answers = await afterwards.claim(asks.map((one) => ({ ...one, attemptId: 'b' as AttemptId, skewMs: 2_000 })))
    expect(answers.map(({ kind, record }) => [kind, record.state, record.attempt])).toEqual([
      ['granted', 'running', 2],
      ['held', 'unknown', 1],
      ['granted', 'running', 2],
    ])
    expect(await stateOf(afterwards, 'begun')).toBe('unknown')
  })

  test('without a boot id, leases hold for as long as some process has the folder open', async () => {
    const path = folder()
    closing.push(() => rmSync(path, { recursive: true, force: true }))
    const clock = { wallMs: Date.now, monotonicMs: () => performance.now(), bootId: () => undefined }
    const first = lmdbStore(path, { clock })
    await first.claim([ask('x', 'a')])
    const second = lmdbStore(path, { clock })
    expect((await second.claim([ask('x', 'b')]))[0]?.kind).toBe('held')
    await second.close()
    await first.close()
  })
})

describe('sweeping', () => {
  test('lets the event loop turn between pieces, also when there is nothing to do', async () => {
    const { store } = opened()
    for (let from = 0; from < 1_000; from += 500) {
      await store.claim(Array.from({ length: 500 }, (_, at) => ask(`id-${from + at}`, 'a')))
    }
    let turns = 0
    let sweeping = true
    const count = (): void => {
      turns += 1
      if (sweeping) setImmediate(count)
    }
    setImmediate(count)
    let pieces = 0
    for (let more = true; more; pieces++) more = (await store.sweep(50, 2_000)).more
    sweeping = false
    expect(pieces).toBeGreaterThanOrEqual(20)
    expect(turns).toBeGreaterThanOrEqual(pieces)
  })

  test('removes the chunks of a dropped body that were too many for the drop itself', async () => {
    const { store, path } = opened()
    const [id, attemptId] = ['long' as RecordId, 'a' as AttemptId]
    await store.claim([ask(id, attemptId)])
    const piece = Buffer.alloc(1_000, 7)
    for (let at = 0; at < 300; at++) {
      await store.append([{ recordId: id, attemptId, offset: at * 1_000, bytes: piece }])
    }
    await store.settle([{ recordId: id, attemptId, kind: 'dropped' }])
    expect(await store.readBody(id, attemptId, 0)).toEqual([])
    for (let more = true; more; ) more = (await store.sweep(50, 2_000)).more
    const { open } = await import('lmdb')
    const raw = open<Buffer, string[]>({ path, encoding: 'binary', useVersions: true, noSubdir: false })
    expect([...raw.getKeys({ start: ['c'], end: ['c', '\uffff'] })]).toEqual([])
    await raw.close()
  })
})

describe('a disk that is full', () => {
  test('is store_unavailable for what does not fit, and loses nothing that was acknowledged', () => {
    const path = folder()
    closing.push(() => rmSync(path, { recursive: true, force: true }))
    // The file may grow to 2 MiB (4096 blocks of 512 bytes in sh).
    const command = ['-c', 'ulimit -f 4096 && exec "$@"', 'sh', process.execPath, child, 'full', path]
    // LMDB itself writes a line about each page to stderr.
    const output = execFileSync('sh', command, { stdio: ['ignore', 'pipe', 'ignore'] })
    const told = JSON.parse(output.toString()) as Record<string, unknown>
    expect(told).toEqual({ acknowledged: expect.any(Number), lost: [], refused: expect.any(Number), otherwise: 0 })
    expect(told['acknowledged']).toBeGreaterThan(20)
    expect(told['refused']).toBeGreaterThanOrEqual(40)
  })
})

describe('a folder that is no store', () => {
  const cases: Record<string, (path: string) => string> = {
    'a file': (path) => {
      writeFileSync(join(path, 'file'), 'x')
      return join(path, 'file')
    },
    'a folder below a file': (path) => {
      writeFileSync(join(path, 'file'), 'x')
      return join(path, 'file', 'below')
    },
    'a folder whose data.mdb is something else': (path) => {
      writeFileSync(join(path, 'data.mdb'), Buffer.alloc(100_000, 7))
      return path
    },
    'a folder whose data.mdb is cut off': (path) => {
      writeFileSync(join(path, 'data.mdb'), 'short')
      return path
    },
    'a folder whose data.mdb is a folder': (path) => {
      mkdirSync(join(path, 'data.mdb'))
      return path
    },
  }
  for (const [name, make] of Object.entries(cases)) {
    test(`${name} is refused with its path`, () => {
      const path = folder()
      closing.push(() => rmSync(path, { recursive: true, force: true }))
      const target = make(path)
      const open = (): Store => lmdbStore(target)
      expect(open).toThrow(IdempotencyError)
      expect(open).toThrow(target)
    })
  }

  test('a folder with a dot in its name is a folder', async () => {
    const path = `${folder()}.db`
    const store = lmdbStore(path)
    closing.push(() => rmSync(path, { recursive: true, force: true }))
    await store.claim([ask('x', 'a')])
    await store.close()
    expect(await stateOf(lmdbStore(path), 'x')).toBe('running')
  })
})

describe('the encoding of records', () => {
  const ascii = (maxLength: number) => fc.string({ unit: 'grapheme-ascii', maxLength })
  const time = fc.oneof(fc.constant(0), fc.double({ noNaN: true, min: -1e12, max: 9e15 }))
  const record: fc.Arbitrary<IdempotencyRecord> = fc.record({
    state: fc.constantFrom('running', 'completed', 'released', 'unknown', 'expired'),
    attemptId: ascii(255) as fc.Arbitrary<AttemptId>,
    fence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    attempt: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    leaseUntil: time,
    onAbandoned: fc.constantFrom('unknown', 'reexecute', 'reconcile', 'resume'),
    dispatched: fc.boolean(),
    dropped: fc.boolean(),
    recovering: fc.boolean(),
    resolved: fc.boolean(),
    steps: fc.boolean(),
    fingerprint: ascii(45) as fc.Arbitrary<Fingerprint>,
    rawFingerprint: ascii(45) as fc.Arbitrary<Fingerprint>,
    head: fc.option(fc.uint8Array({ maxLength: 500 }), { nil: undefined }),
    bodyLength: fc.nat(),
    outcome: fc.constantFrom(undefined, 'value', 'response', 'error', 'omitted'),
    outcomeDigest: ascii(45),
    retryAt: time,
    createdAt: time,
    settledAt: time,
    outcomeExpiresAt: time,
    tombstoneExpiresAt: time,
    retentionMs: time,
    tombstoneMs: time,
  })
  const body = fc.option(fc.uint8Array({ maxLength: 500 }), { nil: undefined })
  const encode = (one: IdempotencyRecord, leaseEpoch: string, bytes: Uint8Array | undefined): Uint8Array =>
    encodeRecord({ record: one, leaseEpoch, body: bytes }, (length) => new Uint8Array(length).fill(255))

  test('gives back what it was given', () => {
    fc.assert(
      fc.property(record, ascii(40), body, fc.boolean(), (one, leaseEpoch, bytes, lasts) => {
        const decoded = decodeRecord(encode(one, leaseEpoch, bytes), lasts)
        expect(decoded).toEqual({ record: one, leaseEpoch, body: bytes })
      }),
    )
  })

  test('keeps nothing of the bytes when they do not last', () => {
    fc.assert(
      fc.property(record, ascii(40), (one, leaseEpoch) => {
        const bytes = encode(one, leaseEpoch, undefined)
        const decoded = decodeRecord(bytes, false)
        bytes.fill(0)
        expect(decoded.record).toEqual(one)
      }),
    )
  })

  test('another format is store_unavailable, never absent', () => {
    fc.assert(
      fc.property(record, fc.integer({ min: 0, max: 255 }), (one, format) => {
        fc.pre(format !== 1)
        const bytes = encode(one, 'epoch', undefined)
        bytes[0] = format
        expect(() => decodeRecord(bytes)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
      }),
    )
  })

  test('a record that is cut off is store_unavailable', () => {
    fc.assert(
      fc.property(record, fc.double({ min: 0, max: 0.99, noNaN: true }), (one, part) => {
        const bytes = encode({ ...one, head: new Uint8Array(20) }, 'epoch', undefined)
        const cut = bytes.subarray(0, Math.floor(bytes.length * part))
        expect(() => decodeRecord(cut)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
      }),
    )
  })
})
