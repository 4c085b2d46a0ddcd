/** Chooses how a body's end is told, by path, content type and first event, and watches the body go by. */
import { anthropic } from './anthropic.ts'
import { GeminiArrayScanner, gemini } from './gemini.ts'
import { JsonAnswerScanner, OpaqueScanner } from './opaque.ts'
import { openaiChat, openaiResponses } from './openai.ts'
import { JsonPeek, type JsonSink } from './peek.ts'
import type { EventMembers, Provider, ProviderEvent, StreamEnd, StreamFormat, StreamScanner } from './provider.ts'
import { eventShape, firstEventShape } from './shape.ts'
import { SseReader, type SseSink } from './sse.ts'
import { type Usage, UsageReader } from './usage.ts'

const providers: readonly Provider[] = [openaiChat, openaiResponses, anthropic, gemini]

/** What is known of an answer when its head has come. */
export interface ScannedResponse {
  readonly contentType: string | undefined
  /** Default 200. The body of any other answer than a 2xx is no stream of the API's, so its clean end is enough. */
  readonly status?: number
}

/** A scanner for the body of this answer to this request. `path` may have a query. */
export function streamScanner(request: { readonly path: string }, response: ScannedResponse): StreamScanner {
  const { contentType, status = 200 } = response
  if (status < 200 || status > 299) return new OpaqueScanner()
  const path = bare(request.path)
  const media = contentType?.split(';', 1)[0]?.trim().toLowerCase()
  if (media === 'text/event-stream')
    return new EventStreamScanner(providers.find((provider) => provider.ownsPath(path)))
  if (media !== 'application/json') return new OpaqueScanner()
  return gemini.ownsPath(path) ? new GeminiArrayScanner() : new JsonAnswerScanner()
}

function bare(path: string): string {
  const end = path.search(/[?#]/)
  const plain = end === -1 ? path : path.slice(0, end)
  let length = plain.length
  while (plain[length - 1] === '/') length -= 1
  return plain.slice(0, length).replace(/%3a/gi, ':').toLowerCase()
}

/** `[DONE]` with some blanks; a longer first line is no marker. */
const markerBytes = 32
const openingBrace = 0x7b

/** The event under way, filled line by line. */
class CurrentEvent implements ProviderEvent {
  name = ''
  marker = ''
  members: EventMembers = {}
  hasData = false

  reset(): void {
    this.name = this.marker = ''
    if (this.hasData) this.members = {}
    this.hasData = false
  }
}

class EventStreamScanner implements StreamScanner, SseSink, JsonSink {
  terminatorAt: number | undefined
  failed = false
  #provider: Provider | undefined
  /** The first event that says something still has to choose the provider. */
  #undecided: boolean
  #finished = false
  /** The blank line after the terminator has come, so that clients dispatch it. */
  #dispatched = false
  readonly #reader = new SseReader(this)
  readonly #event = new CurrentEvent()
  readonly #used = new UsageReader()
  readonly #peek = new JsonPeek(firstEventShape, this)
  /** The first data line of the event, as far as it can be a marker; one past its room means that it cannot. */
  readonly #marker = new Uint8Array(markerBytes)
  #markerLength = 0

  constructor(provider: Provider | undefined) {
    this.#provider = provider
    this.#undecided = provider === undefined
  }

  get format(): StreamFormat {
    return this.#provider?.format ?? 'sse'
  }

  get offset(): number {
    return this.#reader.offset
  }

  get atEventEnd(): boolean {
    return this.#reader.atEventEnd
  }

  get usage(): Usage | undefined {
    return this.#used.usage
  }

  push(bytes: Uint8Array): void {
    this.#reader.push(bytes)
  }

  see(name: keyof EventMembers, value: string | boolean): void {
    this.#event.members[name] = value
  }

  count(name: string, value: number): void {
    this.#used.count(name, value)
  }

  text(name: string, value: string): void {
    this.#used.text(name, value)
    if (name === 'model') this.#peek.root = eventShape
  }

  end(clean: boolean): StreamEnd {
    if (clean) this.#reader.finish()
    if (this.#event.name === 'error' && this.terminatorAt === undefined) this.failed = true
    if (this.failed) return 'failed'
    const provider = this.#provider
    if (provider === undefined) return clean ? 'complete' : 'truncated'
    if (!this.#finished) return 'truncated'
    const dangling = this.#event.hasData && !this.#peek.whole
    if (provider.endsWith === 'clean-end') return clean && !dangling ? 'complete' : 'truncated'
    return clean || provider.endsWith === 'line' || this.#dispatched ? 'complete' : 'truncated'
  }

  data(bytes: Uint8Array, from: number, to: number): void {
    if (this.terminatorAt !== undefined) return
    this.#peek.push(bytes, from, to)
    if (this.#event.hasData) return
    for (let at = from; at < to && this.#markerLength <= markerBytes; at++) {
      const byte = bytes[at] ?? 0
      // An object is no marker, and most events are one.
      if (byte === openingBrace && this.#markerLength === 0) this.#markerLength = markerBytes + 1
      else this.#marker[this.#markerLength++] = byte
    }
  }

  dataLine(): void {
    if (this.terminatorAt !== undefined) return
    const event = this.#event
    if (!event.hasData) {
      const length = this.#markerLength
      if (length <= markerBytes) event.marker = String.fromCharCode(...this.#marker.subarray(0, length)).trim()
      this.#markerLength = 0
      event.hasData = true
    }
    this.#judge(this.#peek.whole)
  }

  event(name: Uint8Array): void {
    this.#event.name = String.fromCharCode(...name.subarray(0, 64))
    this.#judge(this.#peek.whole)
  }

  id(): void {}

  block(): void {
    this.#judge(true)
    this.#dispatched = this.terminatorAt !== undefined
    this.#event.reset()
    this.#peek.reset()
  }

  /** After each line that may complete the event: a client that reads lines can act on it from here. */
  #judge(settled: boolean): void {
    const event = this.#event
    // Nothing after the terminator changes what the provider has said.
    if (this.terminatorAt !== undefined || !settled) return
    if (event.name === 'error') this.failed = true
    if (!event.hasData) return
    // What looked like members of a text that is no JSON were none.
    if (!this.#peek.whole) event.members = {}
    if (this.#undecided) this.#decide()
    const provider = this.#provider
    if (provider === undefined) return
    const finishes = provider.finishes(event)
    if (finishes) this.#finished = true
    if (finishes && provider.endsWith !== 'clean-end') this.terminatorAt = this.#reader.blockStart
    else if (isError(event.members)) this.failed = true
  }

  #decide(): void {
    const event = this.#event
    // Anthropic may send pings before anything else.
    if (event.name === 'ping' || event.members.type === 'ping') return
    this.#undecided = false
    this.#provider = providers.find((provider) => provider.begins(event))
  }
}

/** The same for all known formats: no event of theirs that is good news has such a member at its top. */
function isError({ type, error }: EventMembers): boolean {
  return type === 'error' || (error !== undefined && error !== false && error !== '')
}
