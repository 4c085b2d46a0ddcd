/** The fingerprint of an HTTP request: what makes two requests the same, however their bytes are spelled. */
import { canonicalJson, utf8Text } from '../core/canonical.ts'
import { IdempotencyError } from '../core/errors.ts'
import { type Fingerprint, fingerprintOf } from '../core/fingerprint.ts'
import { trimmed } from '../core/key.ts'
import { multipartReader, type StreamedContent } from './content.ts'
import { fieldValue, type RawHeaders } from './headers.ts'
import { isForm, isJson, isUtf8, type MediaType, parseMediaType } from './media.ts'
import type { Memo } from './memo.ts'
import type { Part } from './multipart.ts'
import { decodedText, queryPairs } from './query.ts'
import { credentialParameters, type Keyed } from './tenant.ts'

/** A request as it was sent, its body whole. */
export interface FingerprintRequest {
  readonly method: string
  /** As sent, without the query. */
  readonly path: string
  /** As sent, without the question mark. */
  readonly query: string
  readonly headers: RawHeaders
  readonly body: Uint8Array
  /** In place of `body`, where it was read while it came in. */
  readonly streamed?: StreamedContent | undefined
}

/**
 * Undoes one content coding. Undefined when the coding is unknown or the bytes are not in it; throws `body_too_large`
 * when the result has more than `maxBytes`, before it has been made whole.
 */
export type DecodeBody = (coding: string, bytes: Uint8Array, maxBytes: number) => Uint8Array | undefined

/** How requests are compared. */
export interface FingerprintOptions {
  /** Holds for the body as sent and as decoded. */
  readonly maxBodyBytes: number
  /** Without it a coded body is compared as it was sent. */
  readonly decode?: DecodeBody
  /** JSON paths that do not make a request another one. */
  readonly ignore?: readonly string[]
  /** By the fingerprint of the request as sent; for one set of the options above. */
  readonly memo?: Memo<Fingerprint>
}

/** `fingerprint` decides. `raw` is of the request's own bytes: equal means the same without anything being parsed. */
export interface RequestFingerprints {
  readonly fingerprint: Fingerprint
  readonly raw: Fingerprint
}

/** Headers that change what an AI API does with the same body (http.md, Fingerprint). */
const behaviourHeaders: readonly string[] = [
  'anthropic-version',
  'anthropic-beta',
  'openai-organization',
  'openai-project',
  'openai-beta',
  'api-version',
]

/** More codings than anybody stacks; each one undone costs a pass over up to `maxBodyBytes`. */
const maxCodings = 3

/**
 * Fingerprints a request (http.md, Fingerprint). Throws `body_too_large`; nothing else a client sends makes it throw or
 * take more than time in proportion to the body (and a sort of its names).
 */
export function requestFingerprint(
  keyed: Keyed,
  request: FingerprintRequest,
  options: FingerprintOptions,
): RequestFingerprints {
  const { digest, pepper } = keyed
  const { body, headers, method, path } = request
  checkLength(body, options.maxBodyBytes)
  const contentType = fieldValue(headers, 'content-type') ?? ''
  const coding = fieldValue(headers, 'content-encoding')?.toLowerCase() ?? ''
  const query = comparableQuery(request.query)
  const behaviour = behaviourHeaders.map((name) => fieldValue(headers, name) ?? null)
  const bodyDigest = request.streamed?.bodyDigest ?? digest.sha256(body)
  const sent = JSON.stringify([method, path, query, contentType, behaviour, coding])
  const raw = fingerprintOf(digest, pepper, ['sent', sent, bodyDigest])
  const work = (): Fingerprint => {
    const media = parseMediaType(contentType)
    const decoded = request.streamed === undefined ? undoCodings(body, coding, options) : undefined
    const head = JSON.stringify([method, path, query, media.comparable, behaviour])
    const content =
      request.streamed !== undefined
        ? multipartOr(request.streamed.parts, bodyDigest)
        : decoded === undefined
          ? ['coded', coding, bodyDigest]
          : contentParts(keyed, decoded, media, options, decoded === body ? bodyDigest : undefined)
    return fingerprintOf(digest, pepper, ['request', head, ...content])
  }
  // A retry has the very bytes of its original: it need not be parsed again.
  return { fingerprint: options.memo === undefined ? work() : options.memo.get(raw, work), raw }
}

/** The content as parts of a digest: how it was read, then what was read. */
function contentParts(
  { digest }: Keyed,
  body: Uint8Array,
  media: MediaType,
  options: FingerprintOptions,
  bodyDigest: string | undefined,
): string[] {
  if (isJson(media.type) && isUtf8(media.charset)) {
    const canonical = canonicalJson(body, options)
    if (canonical !== undefined) return ['json', canonical]
  } else if (isForm(media.type) && isUtf8(media.charset)) {
    const pairs = formPairs(body)
    if (pairs !== undefined) return ['form', JSON.stringify(pairs)]
  }
  const multipart = multipartReader(digest, media)
  multipart?.push(body)
  return multipartOr(multipart?.end(), bodyDigest ?? digest.sha256(body))
}

function multipartOr(parts: readonly Part[] | undefined, bodyDigest: string): string[] {
  if (parts === undefined) return ['bytes', bodyDigest]
  return ['multipart', JSON.stringify(parts.map((part) => [part.headers, part.digest]))]
}

/** Sorted by name; pairs of one name keep their order, which servers can see. Credentials are not part of the wish. */
function comparableQuery(query: string): string[] {
  return queryPairs(query)
    .filter((pair) => !credentialParameters.has(decodedText(pair.name) ?? pair.name))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    .map((pair) => pair.sent)
}

/** Decoded names and values in order, or undefined where decoding would lose something. */
function formPairs(body: Uint8Array): string[] | undefined {
  const text = utf8Text(body)
  if (text === undefined) return undefined
  const decoded: string[] = []
  for (const pair of queryPairs(text)) {
    const name = decodedText(pair.name)
    const value = decodedText(pair.value ?? '')
    if (name === undefined || value === undefined) return undefined
    decoded.push(name, value)
  }
  return decoded
}

/** The content with its codings undone, last one first (RFC 9110 §8.4); undefined when one of them cannot be. */
function undoCodings(body: Uint8Array, coding: string, options: FingerprintOptions): Uint8Array | undefined {
  const codings = coding
    .split(',')
    .map(trimmed)
    .filter((name) => name !== '' && name !== 'identity')
  if (codings.length > maxCodings) return undefined
  let decoded: Uint8Array | undefined = body
  for (const name of codings.reverse()) {
    decoded = options.decode?.(name === 'x-gzip' ? 'gzip' : name, decoded, options.maxBodyBytes)
    if (decoded === undefined) return undefined
    checkLength(decoded, options.maxBodyBytes)
  }
  return decoded
}

function checkLength(bytes: Uint8Array, maxBodyBytes: number): void {
  if (bytes.length <= maxBodyBytes) return
  throw new IdempotencyError(
    'body_too_large',
    `The request body has more than ${maxBodyBytes} bytes, sent or decoded. Send less, or raise maxBodyBytes.`,
  )
}
