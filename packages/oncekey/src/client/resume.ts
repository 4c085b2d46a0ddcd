/** An answer whose body goes on where its connection was cut, as long as the layer behind it has the same bytes. */
import { fieldNames } from '../http/headers.ts'
import { bodyBytes, bodyStart } from './bytes.ts'

/** Asks for the same answer again, after a pause; throws when there is to be no other try, or the caller has left. */
export type AskAgain = (cut: unknown, isProgress: boolean, left: AbortSignal) => Promise<Response>

/** Is this answer recorded, so that asking again with its key gives the same bytes and costs nothing? */
function isRecorded({ ok, headers }: Response): boolean {
  // Idempotency-Recorded: ?0 says that the store was away, and a retry may execute.
  return ok && /^(executed|replayed|joined)$/.test(headers.get(fieldNames.status) ?? '') && !headers.has(unrecorded)
}

const unrecorded = 'Idempotency-Recorded'

/** The answer, with a body that outlives cuts where it may; `gaveUp` hears of a cut that could not be mended. */
export function resumable(answer: Response, askAgain: AskAgain, gaveUp: () => void): Response {
  if (answer.body === null || !isRecorded(answer)) return answer
  const { status, statusText, headers, url } = answer
  const body = new ReadableStream(resumed(answer, answer.body, askAgain, gaveUp), { highWaterMark: 0 })
  // A made Response has no URL, and people log it.
  return Object.defineProperty(new Response(body, { status, statusText, headers }), 'url', { value: url })
}

function resumed(first: Response, body: ReadableStream<Uint8Array>, askAgain: AskAgain, gaveUp: () => void) {
  const isEventStream = /^text\/event-stream/i.test(first.headers.get('content-type') ?? '')
  const left = new AbortController()
  /** How far the reader had it when the connection was last cut. */
  let had = bodyStart
  let reader = body.getReader()
  let bytes = bodyBytes(had, isEventStream)

  const lost = (why: string, cause?: unknown): TypeError => {
    gaveUp()
    const what = `The answer was cut after ${had.length} bytes and cannot go on`
    return new TypeError(`${what}: ${why}. Make the whole call again.`, { cause })
  }

  const reopen = async (cut: unknown): Promise<void> => {
    const mark = bytes.mark()
    const isProgress = mark.length > had.length
    if (isProgress) had = mark
    const answer = await askAgain(cut, isProgress, left.signal).catch((error) => {
      // A reader who has left has lost nothing.
      if (!left.signal.aborted) gaveUp()
      throw error
    })
    const { status } = answer
    const how = answer.headers.get(fieldNames.status)
    // An execution of its own is another answer, which is as good where nothing was given yet.
    if (!answer.body || !isRecorded(answer) || status !== first.status || (how === 'executed' && had.length > 0)) {
      await answer.body?.cancel().catch(() => undefined)
      throw lost(`its retry was answered ${status} (${how ?? 'not recorded'})`, cut)
    }
    reader = answer.body.getReader()
    bytes = bodyBytes(had, isEventStream)
  }

  return {
    async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
      for (;;) {
        let piece: { readonly done: boolean; readonly value?: Uint8Array | undefined }
        try {
          piece = await reader.read()
        } catch (cut) {
          await reopen(cut)
          continue
        }
        const { done, value } = piece
        const fresh = bytes.push(value)
        if (bytes.isOther() || (done && bytes.mark().length < had.length)) {
          reader.cancel().catch(() => undefined)
          throw lost('its retry was given another answer')
        }
        if (fresh.length > 0) controller.enqueue(fresh)
        if (done) controller.close()
        if (done || fresh.length > 0) return
      }
    },
    cancel(reason: unknown): Promise<void> {
      left.abort(reason)
      return reader.cancel(reason)
    },
  }
}
