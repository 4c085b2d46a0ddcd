/** What a request says of itself that its answer may not repeat. */
import { ContentReader, fieldValue, nodeDigest, type RawHeaders, type StreamedContent } from 'oncekey/http'

/** What an account needs to know of its request. */
export interface AskedFor {
  /** The upstream's name; '' is the one without. */
  readonly upstream: string
  readonly method: string
  /** Without the upstream's name and the query. */
  readonly path: string
  readonly headers: RawHeaders
  readonly body: Uint8Array
  /** Of a body that is not in memory. */
  readonly streamed?: StreamedContent | undefined
}

/** The model: in the path (Gemini, Azure, Bedrock), in the JSON, or in a part of a multipart body (transcriptions). */
export function askedModel({ path, headers, body, streamed }: AskedFor): string | undefined {
  const inPath = /\/(?:models|deployments|model)\/([^/:]+)/.exec(path)?.[1]
  if (inPath !== undefined) return decoded(inPath)
  if (streamed !== undefined) return inParts(streamed)
  if (/^\s*multipart\/form-data\b/i.test(fieldValue(headers, 'content-type') ?? '')) {
    const reader = new ContentReader(nodeDigest, headers)
    reader.push(body)
    return inParts(reader.end())
  }
  try {
    const { model } = JSON.parse(new TextDecoder().decode(body)) as { model?: unknown }
    return typeof model === 'string' ? model : undefined
  } catch {
    return undefined
  }
}

function inParts({ parts }: StreamedContent): string | undefined {
  const part = parts?.find(({ headers }) =>
    headers.some(([name, value]) => name === 'content-disposition' && /;\s*name="?model"?\s*(?:;|$)/.test(value)),
  )
  return part === undefined ? undefined : new TextDecoder().decode(part.begin)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
