/** Blobs: what comes out is what went in, at its own place and by its own key, or nothing does. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { base64url, fromBase64url } from '../../src/core/base64url.ts'
import { keyIdOf } from '../../src/core/blob.ts'
import type { Binding, Digest } from '../../src/core/digest.ts'
import type { EncryptionKey } from '../../src/core/encryption.ts'
import type { IdempotencyError } from '../../src/core/errors.ts'
import type { RecordId } from '../../src/core/key.ts'
import { type BlobPlace, Keyring } from '../../src/core/keyring.ts'
import type { AttemptId } from '../../src/core/record.ts'
import { nodeDigest, systemRandom } from '../../src/platform/node.ts'
import { keyNamed } from '../stores/encrypted.ts'

const ring = (...ids: string[]): Keyring => ringOf(ids.map(keyNamed))
const ringOf = (keys: readonly EncryptionKey[]): Keyring => new Keyring({ keys }, nodeDigest, systemRandom)
const place: BlobPlace = {
  recordId: 'r'.repeat(43) as RecordId,
  attemptId: 'a'.repeat(22) as AttemptId,
  part: 'body',
  offset: 7,
}

/** The refusal that something ended in. */
function refusal(open: () => unknown): IdempotencyError {
  try {
    open()
  } catch (error) {
    return error as IdempotencyError
  }
  throw new Error('it was decrypted')
}

describe('a blob', () => {
  test('opens to the very bytes, whatever they are, by every process that has its key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5_000 }), fc.stringMatching(/^[\w.-]{1,32}$/), (bytes, id) => {
        const blob = ring(id, 'other').encrypt(place, bytes)
        expect(Buffer.from(ring('other', id).decrypt(place, blob))).toEqual(Buffer.from(bytes))
        expect(keyIdOf(blob)).toBe(id)
        expect(blob.length).toBe(bytes.length + ring(id).overhead)
      }),
    )
  })

  test('is refused after the change of any single bit, and after any cut', () => {
    const blob = ring('k1').encrypt(place, new TextEncoder().encode('the answer'))
    const opener = ring('k1')
    for (let bit = 0; bit < blob.length * 8; bit++) {
      const changed = blob.slice()
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      expect([bit, refusal(() => opener.decrypt(place, changed)).code]).toEqual([bit, 'outcome_not_replayable'])
    }
    for (let length = 0; length < blob.length; length++)
      expect(refusal(() => opener.decrypt(place, blob.subarray(0, length))).code).toBe('outcome_not_replayable')
    expect(Buffer.from(opener.decrypt(place, blob)).toString()).toBe('the answer')
  })

  test('opens in no other record, attempt or part, and at no other offset', () => {
    const blob = ring('k1').encrypt(place, new Uint8Array(10))
    const elsewhere: Partial<BlobPlace>[] = [
      { recordId: 's'.repeat(43) as RecordId },
      { attemptId: 'b'.repeat(22) as AttemptId },
      { part: 'head' },
      { offset: 8 },
    ]
    for (const other of elsewhere)
      expect(refusal(() => ring('k1').decrypt({ ...place, ...other }, blob)).details.missingKey).toBeUndefined()
  })

  test('is bound twice: each attempt has a key of its own, and what is authenticated names the place', () => {
    const bindings: Binding[] = []
    const spying: Digest = {
      ...nodeDigest,
      encrypt: (binding, plain) => {
        bindings.push(binding)
        return nodeDigest.encrypt(binding, plain)
      },
    }
    const keyring = new Keyring({ keys: [keyNamed('k1')] }, spying, systemRandom)
    const places = [place, { ...place, recordId: 's' as RecordId }, { ...place, attemptId: 'b' as AttemptId }]
    for (const one of places) keyring.encrypt(one, new Uint8Array(3))
    expect(new Set(bindings.map(({ key }) => Buffer.from(key).toString('hex'))).size).toBe(3)
    for (const [at, { recordId, attemptId, part, offset }] of places.entries())
      expect(Buffer.from(bindings[at]?.associated ?? []).toString('latin1')).toContain(
        JSON.stringify([recordId, attemptId, part, offset]),
      )
    keyring.encrypt({ ...place, offset: 9 }, new Uint8Array(3))
    expect(bindings[3]?.key).toEqual(bindings[0]?.key)
    expect(bindings[3]?.nonce).not.toEqual(bindings[0]?.nonce)
  })

  test('names the key that is missing, and another key of the same name does not open it', () => {
    const blob = ring('k1').encrypt(place, new Uint8Array(10))
    const missing = refusal(() => ring('k2').decrypt(place, blob))
    expect([missing.code, missing.details.missingKey]).toEqual(['outcome_not_replayable', 'k1'])
    expect(missing.message).toContain('"k1"')
    const forged = ringOf([{ id: 'k1', key: keyNamed('other').key }])
    expect(refusal(() => forged.decrypt(place, blob)).details.missingKey).toBeUndefined()
  })

  test('of the same bytes is another each time, and shows nothing of them', () => {
    const bytes = new TextEncoder().encode('a prompt that nobody else may read')
    const blobs = Array.from({ length: 50 }, () => Buffer.from(ring('k1').encrypt(place, bytes)).toString('latin1'))
    expect(new Set(blobs).size).toBe(50)
    for (const blob of blobs) expect(blob).not.toMatch(/prompt|nobody/)
  })
})

describe('the digest of an outcome', () => {
  test('is the same for the same attempt, and no hash that can be guessed without the key', () => {
    const digest = nodeDigest.sha256('yes')
    const keyed = ring('k1').keyed(place, digest)
    expect(ring('k1', 'k2').keyed(place, digest)).toBe(keyed)
    const others = [
      ring('k2').keyed(place, digest),
      ring('k1').keyed({ ...place, attemptId: 'b' as AttemptId }, digest),
      ring('k1').keyed(place, nodeDigest.sha256('no')),
    ]
    for (const other of [digest, ...others]) expect(other).not.toBe(keyed)
  })
})

describe('keys that cannot be right are refused', () => {
  const good = keyNamed('k1')
  test.each([
    ['none', []],
    ['an id with a space', [{ ...good, id: 'k 1' }]],
    ['an empty id', [{ ...good, id: '' }]],
    ['an id of 33 characters', [{ ...good, id: 'k'.repeat(33) }]],
    ['a key of 16 bytes', [{ ...good, key: new Uint8Array(16) }]],
    ['two of one id', [good, { id: 'k1', key: keyNamed('k2').key }]],
  ])('%s', (_, keys) => {
    const error = refusal(() => ringOf(keys))
    expect([error.code, error.message.endsWith('.')]).toEqual(['config_invalid', true])
  })
  test('and a good one is not', () => expect(() => ringOf([good])).not.toThrow())
})

describe("the platform's AES-256-GCM", () => {
  const hex = (text: string): Uint8Array => Buffer.from(text, 'hex')
  // Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B.
  const binding = {
    key: hex('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308'),
    nonce: hex('cafebabefacedbaddecaf888'),
    associated: hex('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
  }
  const plain = hex(
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
  )
  const encrypted = hex(
    '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b',
  )

  test('is the one of the specification', () => {
    expect(Buffer.from(nodeDigest.encrypt(binding, plain))).toEqual(Buffer.from(encrypted))
    expect(Buffer.from(nodeDigest.decrypt(binding, encrypted) ?? [])).toEqual(Buffer.from(plain))
  })
  test('takes no shortened tag', () => {
    for (let length = 0; length < encrypted.length; length++)
      expect(nodeDigest.decrypt(binding, encrypted.subarray(0, length))).toBeUndefined()
  })
})

test('base64url comes back as the bytes it was made of', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      expect(Buffer.from(fromBase64url(base64url(bytes)))).toEqual(Buffer.from(bytes))
    }),
  )
})
