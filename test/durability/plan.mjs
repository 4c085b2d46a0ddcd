// What the workload writes and the judge expects: everything about a key follows from the seed.
import { createCipheriv, createHash } from 'node:crypto'

/** Lease, margin and retention of all claims: nothing ends by age while the test runs. */
export const times = { leaseMs: 120_000, skewMs: 1_000, retentionMs: 86_400_000, tombstoneMs: 0 }

/** Of the outcome of every key. */
export const head = Buffer.from('{"status":200}')

/** Bytes of a hash over the parts; base64url as ids have it. */
export function idOf(bytes, ...parts) {
  return createHash('sha256').update(parts.join('\0')).digest().subarray(0, bytes).toString('base64url')
}

/** Mulberry32: small, seeded, good enough to spread sizes. */
export function random(state) {
  let a = state | 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Sizes of bodies: beside the record, as some appended pieces, and past the 256 KiB that fit beside it. */
function bodyLength(draw, key) {
  if (key % 67 === 5) return 300_000 + Math.floor(draw() * 50_000)
  return Math.floor(draw() < 0.5 ? draw() * 900 : draw() * 24_000)
}

/**
 * The plan of one key: `releases` attempts end released, the next one completes with `body`, of which `appended`
 * pieces go ahead of the settle that brings the rest.
 */
export function planOf(seed, key) {
  const draw = random(Buffer.from(idOf(4, seed, key, 'draw'), 'base64url').readInt32LE())
  const length = bodyLength(draw, key)
  const secret = createHash('sha256').update(`${seed}\0${key}\0body`).digest()
  const body = createCipheriv('aes-128-ctr', secret.subarray(0, 16), secret.subarray(16)).update(Buffer.alloc(length))
  const cuts = draw() < 0.4 ? [] : [draw(), draw(), draw()].map((at) => Math.floor(at * length)).sort((a, b) => a - b)
  const edges = [...new Set([0, ...cuts])]
  return {
    recordId: idOf(32, seed, key, 'record'),
    fingerprint: `1${idOf(32, seed, key, 'fingerprint')}`,
    releases: draw() < 0.2 ? 1 : 0,
    body,
    appended: edges.slice(0, -1).map((from, at) => ({ offset: from, bytes: body.subarray(from, edges[at + 1]) })),
    rest: { offset: edges.at(-1), bytes: body.subarray(edges.at(-1)) },
    digest: idOf(32, seed, key, 'digest'),
  }
}

/** A claim of a key by an attempt. */
export function claimOf(plan, attemptId) {
  const { recordId, fingerprint } = plan
  return { recordId, attemptId, fingerprint, rawFingerprint: '', onAbandoned: 'unknown', ...times }
}
