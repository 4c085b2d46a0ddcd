/** Names: the idempotency key of a line, and the id of its result. */
import { createHash } from 'node:crypto'
import type { BatchRequest } from './request.ts'

/** Longest key that a header may hold (http.md, Request). */
const maxKeyLength = 255

/**
 * The key of a line: `BATCH/CUSTOM_ID` where both fit between the quotes of a header as they are, else a digest of both. No two pairs
 * share one: a plain batch id has no slash, so the first slash parts the two, and a digest has no slash at all.
 */
export function keyOf(batchId: string, customId: string): string {
  const plain = `${batchId}/${customId}`
  const fits = /^[\w.-]+$/.test(batchId) && /^[!#-+\--:<-[\]-~]+$/.test(customId) && plain.length <= maxKeyLength
  return fits ? plain : `sha256:${sha256([batchId, customId]).toString('hex')}`
}

/** What makes a request this one and no other, 16 bytes. */
export function contentOf({ customId, target, body }: BatchRequest): Buffer {
  return sha256([customId, target, body.toString()]).subarray(0, 16)
}

/** The id of a line's result: another batch, or another request under the same `custom_id`, has another one. */
export function resultId(batchId: string, content: Buffer): string {
  return `batch_req_${sha256([batchId, content.toString('hex')])
    .toString('hex')
    .slice(0, 32)}`
}

/** JSON keeps the parts apart, whatever they hold. */
function sha256(parts: readonly string[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest()
}
