/** `Last-Event-ID`: a reader that begins after the event the client saw last. */
import type { Clock } from '../core/clock.ts'
import type { StreamReader } from '../core/reader.ts'
import { concat } from '../core/window.ts'
import { offsetAfterEvent } from '../providers/index.ts'

/** A stream that has nothing more to give for this long is taken to be at its live end. */
const settleMs = 100

/**
 * Reads what there is of the stream and looks for the event; the reader it answers begins after that event, or from
 * the first byte where no event has this id. Only what came after the last whole event is looked at again, and nothing
 * is waited for beyond `length`, what there was when the client came: it cannot have seen more.
 */
export async function skipTo(
  source: StreamReader,
  lastEventId: string,
  clock: Clock,
  length: number,
): Promise<StreamReader> {
  const parts: Uint8Array[] = []
  let read = 0
  let unfinished: Uint8Array = new Uint8Array(0)
  do {
    for (let bytes = source.read(); bytes !== undefined; bytes = source.read()) {
      parts.push(bytes)
      read += bytes.length
      const news = concat([unfinished, bytes], unfinished.length + bytes.length)
      const from = offsetAfterEvent(news, lastEventId)
      if (from !== undefined) return new Prefixed(news.subarray(from), source)
      unfinished = news.subarray(lastBlankLine(news))
    }
  } while (read < length && source.state === 'open' && (await more(source, clock)))
  return new Prefixed(concat(parts, read), source)
}

/** Where the last whole event ends: behind two line ends in a row, of any kind; 0 if there is none. */
function lastBlankLine(bytes: Uint8Array): number {
  for (let at = bytes.length - 1; at > 0; at--) {
    const [before, byte] = [bytes[at - 1], bytes[at]]
    if (byte === before && (byte === lf || byte === cr)) return at + 1
    if (byte === lf && before === cr && at > 2 && bytes[at - 2] === lf && bytes[at - 3] === cr) return at + 1
  }
  return 0
}

const lf = 10
const cr = 13

/** True when the source woke us, false when it stayed silent. */
function more(source: StreamReader, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(settleMs, () => resolve(false), true)
    source.wake = () => {
      timer.cancel()
      resolve(true)
    }
  })
}

/** Bytes that were read ahead, then the source. */
class Prefixed implements StreamReader {
  #prefix: Uint8Array | undefined
  readonly #source: StreamReader

  constructor(prefix: Uint8Array, source: StreamReader) {
    this.#prefix = prefix.length > 0 ? prefix : undefined
    this.#source = source
  }

  get state(): 'open' | 'ended' | 'cut' {
    return this.#prefix === undefined || this.#source.state === 'cut' ? this.#source.state : 'open'
  }

  get offset(): number {
    return this.#source.offset
  }

  get wake(): (() => void) | undefined {
    return this.#source.wake
  }

  set wake(wake: (() => void) | undefined) {
    this.#source.wake = wake
  }

  read(): Uint8Array | undefined {
    const prefix = this.#prefix
    this.#prefix = undefined
    return prefix ?? this.#source.read()
  }

  close(): void {
    this.#source.close()
  }
}
