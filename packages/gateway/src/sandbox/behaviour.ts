/** The ways in which the pretend provider misbehaves when it is asked to, and the words that ask for them. */

/** What to do with one call. Everything is off unless named. */
export interface Behaviour {
  /** Waits this long before the head. */
  readonly delayMs?: number
  /** Answers with this status; from 400 on with an error and without a bill. */
  readonly status?: number
  /** Bills an error all the same: it broke after the work was done. */
  readonly billed?: boolean
  readonly retryAfter?: string
  readonly retryAfterMs?: string
  readonly shouldRetry?: string
  /** So many requests are left, by the answer's headers. */
  readonly remaining?: number
  /** When there are more again, ms from now. */
  readonly resetMs?: number
  /** Destroys the socket after this many bytes of the body as sent. */
  readonly cut?: number
  /** Bills, then destroys the socket without a head. */
  readonly cutBeforeHead?: boolean
  /** Ends cleanly after so many events, without the terminator. */
  readonly truncate?: number
  /** After so many events comes an error event, then a clean end. */
  readonly errorEvent?: number
  /** After the error event the terminator comes all the same. */
  readonly thenTerminator?: boolean
  /** How many pieces the text is streamed in. */
  readonly events?: number
  /** Between two events, ms. */
  readonly gapMs?: number
  /** Bytes of the body: exact for JSON and audio, the text's for streams. */
  readonly size?: number
  /** Never answers. */
  readonly hang?: boolean
  readonly gzip?: boolean
  /** Chunked, also where the length is known. */
  readonly chunked?: boolean
  /** `Content-Length`, also where it takes the whole stream to know it. */
  readonly length?: boolean
  /** Sends the terminator and keeps the connection open. */
  readonly hangAfterTerminator?: boolean
  readonly cutAfterTerminator?: boolean
  /** One pause in the middle of the body, ms. */
  readonly silenceMs?: number
  /** `id:` lines: 1, 2, 3 … */
  readonly ids?: boolean
  readonly crlf?: boolean
  /** Line ends after the last event: `none` or `one`, where a blank line belongs. */
  readonly lastLine?: 'none' | 'one'
}

type Mutable = { -readonly [name in keyof Behaviour]: Behaviour[name] }

const flags: Readonly<Record<string, Partial<Behaviour>>> = {
  billed: { billed: true },
  'cut-before-head': { cutBeforeHead: true },
  'then-terminator': { thenTerminator: true },
  hang: { hang: true },
  gzip: { gzip: true },
  chunked: { chunked: true },
  length: { length: true },
  'close-after-terminator-hang': { hangAfterTerminator: true },
  'cut-after-terminator': { cutAfterTerminator: true },
  ids: { ids: true },
  crlf: { crlf: true },
  'no-newline-end': { lastLine: 'none' },
  'one-newline-end': { lastLine: 'one' },
}

type NumberName =
  | 'delayMs'
  | 'status'
  | 'cut'
  | 'truncate'
  | 'errorEvent'
  | 'events'
  | 'gapMs'
  | 'size'
  | 'silenceMs'
  | 'remaining'
  | 'resetMs'

const numbers: Readonly<Record<string, NumberName>> = {
  delay: 'delayMs',
  status: 'status',
  cut: 'cut',
  truncate: 'truncate',
  'error-event': 'errorEvent',
  events: 'events',
  gap: 'gapMs',
  size: 'size',
  silence: 'silenceMs',
  remaining: 'remaining',
  'reset-ms': 'resetMs',
}

const texts: Readonly<Record<string, 'retryAfter' | 'retryAfterMs' | 'shouldRetry'>> = {
  'retry-after': 'retryAfter',
  'retry-after-ms': 'retryAfterMs',
  'should-retry': 'shouldRetry',
}

/** Reads a comma list such as `delay=50, status=429, retry-after=1`. Throws a `RangeError` that names what it does not know. */
export function parseBehaviour(list: string): Behaviour {
  const behaviour: Mutable = {}
  for (const word of list.split(',')) {
    const directive = word.trim()
    if (directive === '' || directive === 'ok') continue
    const equals = directive.indexOf('=')
    const name = equals === -1 ? directive : directive.slice(0, equals)
    const value = equals === -1 ? undefined : directive.slice(equals + 1)
    const number = numbers[name]
    const text = texts[name]
    if (value === undefined && flags[name] !== undefined) Object.assign(behaviour, flags[name])
    else if (value !== undefined && number !== undefined && /^\d{1,15}$/.test(value)) behaviour[number] = Number(value)
    else if (value !== undefined && text !== undefined) behaviour[text] = value
    else throw new RangeError(`The sandbox does not know "${directive}". It knows ${vocabulary}.`)
  }
  const { status } = behaviour
  if (status !== undefined && (status < 200 || status > 599))
    throw new RangeError(`The sandbox cannot answer with status ${status}.`)
  return behaviour
}

const vocabulary = [
  ...Object.keys(numbers).map((name) => `${name}=N`),
  ...Object.keys(texts).map((name) => `${name}=TEXT`),
  ...Object.keys(flags),
  'ok',
].join(', ')
