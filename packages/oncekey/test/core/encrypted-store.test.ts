/** The engine over an encrypted store that somebody reads, alters, cuts or opens with other keys. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EncryptionKey } from '../../src/core/encryption.ts'
import type { IdempotencyError } from '../../src/core/errors.ts'
import type { OnceEvent } from '../../src/core/events.ts'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import type { RecordId } from '../../src/core/key.ts'
import type { AttemptId, IdempotencyRecord } from '../../src/core/record.ts'
import { type ClaimAnswer, inlineBodyBytes, type Store } from '../../src/core/store.ts'
import { final } from '../../src/core/value.ts'
import { createIdempotency } from '../../src/platform/idempotency.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { faultyStore } from '../../src/testing/faulty.ts'
import { altered } from '../stores/altered.ts'
import { encrypted, keyNamed } from '../stores/encrypted.ts'

/** What an attacker makes of the bytes that a store answers with. */
interface Tampering {
  head?: (head: Uint8Array, recordId: RecordId) => Uint8Array | undefined
  body?: (body: Uint8Array, recordId: RecordId) => Uint8Array | undefined
  record?: (record: IdempotencyRecord) => IdempotencyRecord
}

/** A memory store in an attacker's hands: he has seen all that was written, and alters what is read. */
function observed() {
  const memory = memoryStore()
  const written: Uint8Array[] = []
  const tampering: Tampering = {}
  const shown = (recordId: RecordId, record: IdempotencyRecord): IdempotencyRecord => {
    const head = record.head === undefined ? undefined : (tampering.head?.(record.head, recordId) ?? record.head)
    return tampering.record?.({ ...record, head }) ?? { ...record, head }
  }
  const body = (recordId: RecordId, bytes: Uint8Array): Uint8Array => tampering.body?.(bytes, recordId) ?? bytes
  const store = altered(memory, {
    settle: async (asks) => {
      for (const ask of asks) {
        if ('head' in ask) written.push(ask.head)
        if (ask.kind === 'completed') written.push(ask.rest.bytes, Buffer.from(ask.digest))
      }
      return memory.settle(asks)
    },
    append: async (asks) => {
      written.push(...asks.map(({ bytes }) => bytes))
      return memory.append(asks)
    },
    resolve: async (asks) => {
      for (const { outcome } of asks) if (outcome !== undefined) written.push(outcome.head, outcome.body)
      return memory.resolve(asks)
    },
    claim: async (asks) =>
      (await memory.claim(asks)).map((answer, at): ClaimAnswer => {
        const id = asks[at]?.recordId as RecordId
        const record = shown(id, answer.record)
        if (answer.kind !== 'held' || answer.body === undefined) return { ...answer, record }
        return { ...answer, record, body: body(id, answer.body) }
      }),
    read: async (ids) =>
      (await memory.read(ids)).map((answer, at) =>
        answer.record === undefined ? answer : { ...answer, record: shown(ids[at] as RecordId, answer.record) },
      ),
    readBody: async (id, attemptId, offset) => {
      // Altered as a whole, so that a cut is a cut wherever it is read from.
      const whole = body(id, Buffer.concat(await allOf(memory, id, attemptId)))
      return offset < whole.length ? [whole.subarray(offset, offset + 1024 * 1024)] : []
    },
  })
  return { store, written: () => Buffer.concat(written), tampering }
}

async function allOf(store: Store, id: RecordId, attemptId: AttemptId): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = []
  for (let length = 0; ; ) {
    const more = await store.readBody(id, attemptId, length)
    if (more.length === 0) return pieces
    pieces.push(...more)
    length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  }
}

/** A process on the store with keys of these names; none at all without encryption. */
function process(store: Store, ids: readonly string[] = ['k1'], events: OnceEvent[] = []) {
  const keys: readonly EncryptionKey[] = ids.map(keyNamed)
  return createIdempotency({
    store,
    onAbandoned: 'reexecute',
    pepper: new Uint8Array(32),
    observer: (event) => events.push(event),
    ...(ids.length === 0 ? {} : { encryption: { keys } }),
  })
}

const never = (): never => {
  throw new Error('it was executed')
}

async function refusal(asked: Promise<unknown>): Promise<IdempotencyError> {
  return asked.then(
    (value) => {
      throw new Error(`it was answered: ${JSON.stringify(value)}`)
    },
    (error: IdempotencyError) => error,
  )
}

const secret = { answer: 'nobody else may read this' }
const operation = { key: 'order-1', input: 'a prompt' }

describe('what reaches the store', () => {
  const traces = /nobody else|answer|json|value/
  async function all(ids: readonly string[]): Promise<string> {
    const { store, written } = observed()
    const once = process(store, ids)
    await once.run({ key: 'value' }, () => secret)
    await once.run({ key: 'error' }, () => Promise.reject(final(new Error('nobody else')))).catch(() => undefined)
    await once.run({ key: 'long' }, () => 'nobody else '.repeat(100_000))
    return written().toString('latin1')
  }
  test('holds nothing of a value, an error or what they are called', async () => {
    expect(await all(['k1'])).not.toMatch(traces)
  })
  test('the control: without keys all of it is found', async () => {
    expect(await all([])).toMatch(traces)
  })
  test('holds no hash of an answer, by which a guess could be proved', async () => {
    const { createHash } = await import('node:crypto')
    const hash = createHash('sha256').update('"yes"').digest('base64url')
    for (const [ids, found] of [
      [['k1'], false],
      [[], true],
    ] as const) {
      const { store, written } = observed()
      await process(store, ids).run({ key: 'guess' }, () => 'yes')
      expect([ids, written().includes(hash)]).toEqual([ids, found])
    }
  })
})

describe('keys', () => {
  test('a value, an error and a long value are replayed in another process, also after a rotation', async () => {
    const { store } = observed()
    const long = Buffer.alloc(inlineBodyBytes * 5 + 3, 'x')
    const once = process(store, ['k1'])
    await once.run({ key: 'value' }, () => secret)
    await once.run({ key: 'error' }, () => Promise.reject(final(new Error('refused')))).catch(() => undefined)
    await once.run({ key: 'long' }, () => long)
    for (const ids of [['k1'], ['k2', 'k1'], ['k1', 'k2']]) {
      const other = process(store, ids)
      expect(await other.run({ key: 'value' }, never)).toEqual(secret)
      expect((await refusal(other.run({ key: 'error' }, never))).message).toBe('refused')
      expect(Buffer.from(await other.run({ key: 'long' }, never)).equals(long)).toBe(true)
    }
  })

  test.each([
    ['a key that was taken away', ['k2']],
    ['no keys at all', []],
  ])('with %s an outcome is refused by the name of its key, and nothing is executed', async (_, ids) => {
    const { store } = observed()
    await process(store, ['k1']).run(operation, () => secret)
    await process(store, ['k1'])
      .run({ key: 'error' }, () => Promise.reject(final(new Error('no'))))
      .catch(() => undefined)
    const events: OnceEvent[] = []
    const once = process(store, ids, events)
    for (const asked of [operation, { key: 'error' }]) {
      const { code, message, status } = await refusal(once.run(asked, never))
      expect([code, status]).toEqual(['outcome_not_replayable', 409])
      expect(message).toContain('"k1"')
    }
    if (ids.length > 0)
      expect(events).toContainEqual(expect.objectContaining({ kind: 'undecipherable', missingKey: 'k1' }))
    expect(await process(store, ['k1']).run(operation, never)).toEqual(secret)
  })

  test('records from before encryption was turned on are read as they are', async () => {
    const { store } = observed()
    const long = Buffer.alloc(inlineBodyBytes * 2, 'y')
    await process(store, []).run(operation, () => secret)
    await process(store, []).run({ key: 'long' }, () => long)
    const once = process(store, ['k1'])
    expect(await once.run(operation, never)).toEqual(secret)
    expect(Buffer.from(await once.run({ key: 'long' }, never)).equals(long)).toBe(true)
  })

  test('another input is still told apart, and an unknown record resolved, in an encrypted store', async () => {
    const { store, written } = observed()
    const once = process(store)
    const failing = once.run(operation, async () => {
      const running = await once.inspect(operation)
      expect(running?.state).toBe('running')
      await once.resolve(String((await idOf(store))[0]), running as IdempotencyRecord, { value: secret })
      return 'too late'
    })
    expect(await failing).toEqual(secret)
    expect(await process(store).run(operation, never)).toEqual(secret)
    expect((await refusal(once.run({ ...operation, input: 'another' }, never))).code).toBe('fingerprint_mismatch')
    expect(written().toString('latin1')).not.toMatch(/nobody else/)
  })
})

async function idOf(store: Store): Promise<readonly RecordId[]> {
  return (await store.scan(undefined, { limit: 10 })).entries.map(({ recordId }) => recordId)
}

describe('an altered store', () => {
  async function refused(store: Store, asked: { key: string; input?: unknown } = operation): Promise<void> {
    const events: OnceEvent[] = []
    const { code } = await refusal(process(store, ['k1', 'k2'], events).run(asked, never))
    expect(code).toBe('outcome_not_replayable')
    expect(events.some(({ kind }) => kind === 'undecipherable')).toBe(true)
  }

  test.each(['head', 'body'] as const)(
    'a bit of a %s that was turned, whichever, is refused and heard of',
    async (what) => {
      const { store, tampering } = observed()
      await process(store).run(operation, () => 'yes')
      let length = 1
      for (let bit = 0; bit < length * 8; bit++) {
        tampering[what] = (bytes) => {
          length = bytes.length
          const turned = bytes.slice()
          turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7))
          return turned
        }
        await refused(store)
      }
      expect(length).toBeGreaterThan(40)
      delete tampering[what]
      expect(await process(store).run(operation, never)).toBe('yes')
    },
  )

  test('an outcome in the place of another is refused: head, body or both', async () => {
    const { store, tampering } = observed()
    const once = process(store)
    const heads = new Map<RecordId, Uint8Array>()
    const bodies = new Map<RecordId, Uint8Array>()
    tampering.head = (head, id) => {
      heads.set(id, head)
      return head
    }
    tampering.body = (body, id) => {
      bodies.set(id, body)
      return body
    }
    for (const key of ['a', 'b']) await once.run({ key }, () => `of ${key}`)
    for (const key of ['a', 'b']) await process(store).run({ key }, never)
    expect([heads.size, bodies.size]).toEqual([2, 2])
    const other = (from: ReadonlyMap<RecordId, Uint8Array>, id: RecordId): Uint8Array =>
      [...from].find(([one]) => one !== id)?.[1] as Uint8Array
    const head = (_: Uint8Array, id: RecordId): Uint8Array => other(heads, id)
    const body = (_: Uint8Array, id: RecordId): Uint8Array => other(bodies, id)
    for (const swap of [{ head }, { body }, { head, body }]) {
      delete tampering.head
      delete tampering.body
      Object.assign(tampering, swap)
      for (const key of ['a', 'b']) await refused(store, { key })
    }
    Object.assign(tampering, { head: (_: Uint8Array, id: RecordId) => bodies.get(id) })
    await refused(store, { key: 'a' })
  })

  test('an outcome of a former attempt is refused', async () => {
    const { store, tampering } = observed()
    let former: Uint8Array | undefined
    let formerBody: Uint8Array | undefined
    const once = process(store)
    await once.run(operation, () => 'first')
    tampering.head = (head) => (former ??= head)
    tampering.body = (body) => (formerBody ??= body)
    expect(await process(store).run(operation, never)).toBe('first')
    await once.purge(operation)
    delete tampering.head
    delete tampering.body
    await once.run(operation, () => 'secnd')
    Object.assign(tampering, { head: () => former, body: () => formerBody })
    await refused(store)
  })

  test('an outcome of another kind, a length of its own and a body cut at a blob are refused', async () => {
    const { store, tampering } = observed()
    const once = process(store)
    await once.run(operation, () => 'yes')
    tampering.record = (record) => ({ ...record, outcome: 'error' })
    await refused(store)
    delete tampering.record
    tampering.body = () => new Uint8Array(0)
    await refused(store)
    delete tampering.body
    await once.run({ key: 'long' }, () => Buffer.alloc(inlineBodyBytes * 3))
    const blob = inlineBodyBytes + 34 + 'k1'.length
    for (const length of [blob * 3 - 1, blob * 2, blob, 1, 0]) {
      tampering.body = (bytes) => bytes.subarray(0, length)
      await refused(store, { key: 'long' })
    }
  })
})

test('what a store may have or not is passed through where it has it', async () => {
  const memory = memoryStore()
  expect(['watch', 'settleIn'].map((call) => encrypted(memory)[call as 'watch'])).toEqual([undefined, undefined])
  const watched: string[] = []
  const hinting: Store = {
    ...altered(memory, {}),
    watch: (recordId, onHint) => {
      watched.push(recordId)
      onHint()
      return () => watched.pop()
    },
  }
  let hints = 0
  const stop = encrypted(hinting).watch?.('r' as RecordId, () => hints++)
  expect([watched, hints]).toEqual([['r'], 1])
  stop?.()
  expect(watched).toEqual([])
  expect(encrypted(memory).capabilities).toBe(memory.capabilities)
})

describe('a body in pieces', () => {
  const id = 'r'.repeat(43) as RecordId
  const claimed = async (store: Store, attemptId: AttemptId): Promise<void> => {
    const fingerprint = '1f' as Fingerprint
    const times = { leaseMs: 10_000, skewMs: 2_000, retentionMs: 60_000, tombstoneMs: 0 }
    await store.claim([
      { recordId: id, attemptId, fingerprint, rawFingerprint: '', onAbandoned: 'reexecute', ...times },
    ])
  }
  const bytesOf = (length: number, from: number): Uint8Array =>
    new Uint8Array(length).map((_, at) => (from + at) * 31 + ((from + at) >> 8))
  const lengths = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 70_000 })), {
    maxLength: 12,
  })

  test('is read whole from any offset by any process, whatever its pieces, and its length never hides any of it', async () => {
    await fc.assert(
      fc.asyncProperty(
        lengths,
        fc.boolean(),
        fc.array(fc.nat(), { maxLength: 6 }),
        async (pieces, forgets, offsets) => {
          const attemptId = 'a'.repeat(22) as AttemptId
          const inner = memoryStore()
          let owner = encrypted(inner, ['k1', 'k2'])
          const follower = encrypted(inner, ['k2', 'k1'])
          await claimed(owner, attemptId)
          await owner.settle([{ recordId: id, attemptId, kind: 'head', head: new Uint8Array([1, 2]) }])
          let at = 0
          let fetched = 0
          const read: Uint8Array[] = []
          const look = async (): Promise<void> => {
            for (;;) {
              const [now] = await follower.read([id])
              const there = (now?.record?.bodyLength ?? 0) > fetched
              expect(there).toBe(at > fetched)
              if (!there) return
              for (const piece of await follower.readBody(id, attemptId, fetched)) {
                read.push(piece)
                fetched += piece.length
              }
            }
          }
          for (const length of pieces) {
            if (forgets) owner = encrypted(inner, ['k1', 'k2'])
            const ask = { recordId: id, attemptId, offset: at, bytes: bytesOf(length, at) }
            expect(await owner.append([ask])).toEqual([{ kind: 'appended' }])
            at += length
            expect((await owner.read([id]))[0]?.record?.bodyLength).toBe(at)
            if (length % 2 === 0) await look()
          }
          if (forgets) owner = encrypted(inner, ['k1', 'k2'])
          const rest = { offset: at, bytes: bytesOf(at % 500, at) }
          const end = { kind: 'completed', outcome: 'response', head: new Uint8Array([3]), rest, digest: 'd' } as const
          expect((await owner.settle([{ recordId: id, attemptId, ...end }]))[0]?.kind).toBe('recorded')
          at += rest.bytes.length
          await look()
          const whole = Buffer.from(bytesOf(at, 0))
          expect(Buffer.concat(read).equals(whole)).toBe(true)
          const record = (await follower.read([id]))[0]?.record
          expect([record?.bodyLength, [...(record?.head ?? [])]]).toEqual([at, [3]])
          for (const any of offsets) {
            const from = any % (at + 2)
            for (const reader of [follower, owner, encrypted(inner, ['k1', 'k2'])]) {
              const [piece] = await reader.readBody(id, attemptId, from)
              // Byte by byte a comparison in the test's own words would take most of its time.
              const rightful = whole.subarray(from, from + (piece?.length ?? 0))
              expect(piece === undefined ? from >= at : from < at && rightful.equals(piece)).toBe(true)
            }
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  test('keeps its bytes when answers of appends and settles are lost, since a piece goes out again as it was', async () => {
    await fc.assert(
      fc.asyncProperty(lengths, fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }), async (pieces, losses) => {
        const attemptId = 'b'.repeat(22) as AttemptId
        const inner = memoryStore()
        const sent: string[] = []
        const faulty = faultyStore(inner, (call, count) =>
          (call === 'append' || call === 'settle') && losses[count] ? 'lose' : undefined,
        )
        const spied = altered(faulty, {
          append: (asks) => {
            sent.push(...asks.map(({ offset, bytes }) => `${offset} ${Buffer.from(bytes).toString('base64')}`))
            return faulty.append(asks)
          },
        })
        const owner = encrypted(spied)
        await claimed(owner, attemptId)
        let at = 0
        const insistently = async <T>(call: () => Promise<T>): Promise<T> => {
          for (let tries = 0; tries < 50; tries++) {
            const answer = await call().catch(() => undefined)
            if (answer !== undefined) return answer
          }
          throw new Error('no answer came')
        }
        for (const length of pieces) {
          const ask = { recordId: id, attemptId, offset: at, bytes: bytesOf(length, at) }
          const [answer] = await insistently(() => owner.append([ask]))
          expect(answer?.kind).not.toBe('refused')
          at += length
        }
        const end = { kind: 'completed', outcome: 'response', head: new Uint8Array([3]), digest: 'd' } as const
        const rest = { offset: at, bytes: bytesOf(9, at) }
        const settled = await insistently(() => owner.settle([{ recordId: id, attemptId, ...end, rest }]))
        expect(settled[0]?.kind).not.toBe('fenced')
        const whole = Buffer.concat(await allOf(encrypted(inner), id, attemptId))
        expect(whole.equals(Buffer.from(bytesOf(at + 9, 0)))).toBe(true)
        // One offset has one ciphertext, however often it was sent.
        expect(new Set(sent).size).toBe(new Set(sent.map((one) => one.split(' ')[0])).size)
      }),
      { numRuns: 60 },
    )
  })
})

describe('steps', () => {
  const secret = 'the patient of room 4711'

  /** What the store was given for the step of an operation that failed after it, and an engine on what the store answers. */
  async function stepped(swap: (value: Uint8Array, name: string) => Uint8Array) {
    const memory = memoryStore()
    const written: { readonly name: string; readonly value: Uint8Array }[] = []
    const store = altered(memory, {
      settle: async (asks) => {
        for (const ask of asks) if (ask.kind === 'step') written.push({ name: ask.name, value: ask.value })
        return memory.settle(asks)
      },
      steps: async (id) => (await memory.steps(id)).map(({ name, value }) => ({ name, value: swap(value, name) })),
    })
    const once = createIdempotency({ store, onAbandoned: 'resume', encryption: { keys: [keyNamed('one')] } })
    const run = (fails: boolean) =>
      once.run({ key: 'k' }, async (attempt) => {
        const told = await attempt.step(secret, () => ({ secret }))
        await attempt.step('other', () => 'another')
        if (fails) throw new Error('busy')
        return told
      })
    await expect(run(true)).rejects.toThrow('busy')
    return { written, run }
  }

  test('neither the name nor the value of a step is in the store in clear, and both come back', async () => {
    const { written, run } = await stepped((value) => value)
    expect(written).toHaveLength(2)
    for (const { name, value } of written)
      expect(`${name} ${Buffer.from(value).toString('latin1')}`).not.toMatch(/patient|another|other/)
    expect(await run(false)).toEqual({ secret })
  })

  test('a step that was altered, or put in the place of another, is refused and nothing runs again', async () => {
    const flipped = await stepped((value) => value.map((byte, at) => (at === value.length - 1 ? byte ^ 1 : byte)))
    await expect(flipped.run(false)).rejects.toMatchObject({ code: 'outcome_not_replayable' })
    const values: Uint8Array[] = []
    const swapped = await stepped((value) => {
      values.push(value)
      return values[0] as Uint8Array
    })
    await expect(swapped.run(false)).rejects.toMatchObject({ code: 'outcome_not_replayable' })
  })
})
