/** What a request's body says, read while it streams somewhere else: a body too large to be held in memory. */
import type { Digest, Hasher } from '../core/digest.ts'
import { fieldValue, type RawHeaders } from './headers.ts'
import { isForm, isJson, type MediaType, parseMediaType } from './media.ts'
import { MultipartReader, type Part } from './multipart.ts'

/** A body that was read to its end. */
export interface StreamedContent {
  readonly length: number
  /** SHA-256 of the bytes as they were sent. */
  readonly bodyDigest: string
  /** Of a multipart body; undefined for any other, and for one that is not exactly what senders write. */
  readonly parts: readonly Part[] | undefined
}

/**
 * May a body be fingerprinted while it streams? Not JSON and forms, which are compared by what they mean, and not a coded
 * one, which has to be decoded first: those are held in memory.
 */
export function isStreamable(headers: RawHeaders): boolean {
  const coding = fieldValue(headers, 'content-encoding')?.toLowerCase() ?? 'identity'
  const { type } = parseMediaType(fieldValue(headers, 'content-type') ?? '')
  return coding === 'identity' && !isJson(type) && !isForm(type)
}

/** Reads one such body. */
export class ContentReader {
  readonly #hasher: Hasher
  readonly #multipart: MultipartReader | undefined
  #length = 0

  constructor(digest: Digest, headers: RawHeaders) {
    this.#hasher = digest.hasher()
    this.#multipart = multipartReader(digest, parseMediaType(fieldValue(headers, 'content-type') ?? ''))
  }

  push(bytes: Uint8Array): void {
    this.#length += bytes.length
    this.#hasher.update(bytes)
    this.#multipart?.push(bytes)
  }

  end(): StreamedContent {
    return { length: this.#length, bodyDigest: this.#hasher.digest(), parts: this.#multipart?.end() }
  }
}

/** For a body of this type, where it is a multipart one with a boundary. */
export function multipartReader(digest: Digest, { type, boundary }: MediaType): MultipartReader | undefined {
  return type.startsWith('multipart/') && boundary !== undefined ? new MultipartReader(digest, boundary) : undefined
}
