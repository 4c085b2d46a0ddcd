/** What a request says of itself that its answer may not repeat. */
import { fieldValue, multipartParts, parseMediaType, type RawHeaders } from 'oncekey/http'

/** What an account needs to know of its request. */
export interface AskedFor {
  /** The upstream's name; '' is the one without. */
  readonly upstream: string
  readonly method: string
  /** Without the upstream's name and the query. */
  readonly path: string
  readonly headers: RawHeaders
  readonly body: Uint8Array
}

/** The model: in the path (Gemini, Azure, Bedrock), in the JSON, or in a part of a multipart body (transcriptions). */
export function askedModel({ path, headers, body }: AskedFor): string | undefined {
  const inPath = /\/(?:models|deployments|model)\/([^/:]+)/.exec(path)?.[1]
  if (inPath !== undefined) return decoded(inPath)
  const { type, boundary } = parseMediaType(fieldValue(headers, 'content-type') ?? '')
  if (type === 'multipart/form-data') return boundary === undefined ? undefined : inParts(body, boundary)
  try {
    const { model } = JSON.parse(new TextDecoder().decode(body)) as { model?: unknown }
    return typeof model === 'string' ? model : undefined
  } catch {
    return undefined
  }
}

function inParts(body: Uint8Array, boundary: string): string | undefined {
  const part = multipartParts(body, boundary)?.find(({ headers }) =>
    headers.some(([name, value]) => name === 'content-disposition' && /;\s*name="?model"?\s*(?:;|$)/.test(value)),
  )
  return part === undefined ? undefined : new TextDecoder().decode(part.content.subarray(0, 200))
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
