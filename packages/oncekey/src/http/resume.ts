/** `Last-Event-ID`: a reader that begins after the event the client saw last. */
import type { Clock } from '../core/clock.ts'
import type { StreamReader } from '../core/reader.ts'
import { concat } from '../core/window.ts'
import { offsetAfterEvent } from '../providers/index.ts'

/** A stream that has nothing more to give for this long is taken to be at its live end. */
const settleMs = 100

/**
 * Reads what there is of the stream and looks for the event; the reader it answers begins after that event, or from
 * the first byte where no event has this id.
 */
export async function skipTo(source: StreamReader, lastEventId: string, clock: Clock): Promise<StreamReader> {
  const parts: Uint8Array[] = []
  let length = 0
  let from: number | undefined
  while (from === undefined) {
    let read = false
    for (let bytes = source.read(); bytes !== undefined; bytes = source.read()) {
      parts.push(bytes)
      length += bytes.length
      read = true
    }
    if (read) from = offsetAfterEvent(concat(parts, length), lastEventId)
    if (from !== undefined || source.state !== 'open' || !(await more(source, clock))) break
  }
  return new Prefixed(concat(parts, length).subarray(from ?? 0), source)
}

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
