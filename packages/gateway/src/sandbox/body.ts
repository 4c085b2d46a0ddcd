/** Turns an answer into the pieces of a body, with the pauses between them and without its end where it is to lack it. */
import { createHash } from 'node:crypto'
import { constants, createGzip } from 'node:zlib'
import { type Answer, eventCount, type StreamPart } from './answer.ts'
import type { Behaviour } from './behaviour.ts'

/** Bytes to send after a pause, ms. */
export interface Piece {
  readonly bytes: Buffer
  readonly pauseMs: number
}

type StreamAnswer = Extract<Answer, { kind: 'stream' }>

const blockBytes = 64 * 1024

/** The media type of an answer's body. */
export function contentTypeOf(answer: Answer): string {
  if (answer.kind === 'bytes') return answer.contentType
  return answer.kind === 'stream' && answer.framing === 'events'
    ? 'text/event-stream; charset=utf-8'
    : 'application/json'
}

/** The body, uncoded. `id` makes JSON and bytes unique. */
export function bodyPieces(
  answer: Answer,
  behaviour: Behaviour,
  call: { readonly n: number; readonly id: string },
): Iterable<Piece> {
  if (answer.kind === 'stream') return streamPieces(answer, behaviour)
  return paused(
    answer.kind === 'bytes' ? noise(answer.length, answer.seed ?? call.id) : padded(answer.value, behaviour, call),
    behaviour,
  )
}

/** One pause in the middle, where the body is in one piece for the rest. */
function* paused(blocks: Iterable<Buffer>, behaviour: Behaviour): Generator<Piece> {
  let pauseMs = behaviour.silenceMs ?? 0
  for (const block of blocks) {
    if (pauseMs === 0) {
      yield { bytes: block, pauseMs: 0 }
      continue
    }
    const middle = block.length >> 1
    yield { bytes: block.subarray(0, middle), pauseMs: 0 }
    yield { bytes: block.subarray(middle), pauseMs }
    pauseMs = 0
  }
}

/** The JSON text, brought to its size by a member that no client reads. */
function* padded(
  value: object,
  { size = 0 }: Behaviour,
  call: { readonly n: number; readonly id: string },
): Generator<Buffer> {
  const text = JSON.stringify({ ...value, sandbox: { call: call.n, id: call.id, padding: '' } })
  const tail = Buffer.from('"}}')
  yield Buffer.from(text.slice(0, -tail.length))
  let missing = Math.max(0, size - Buffer.byteLength(text))
  for (; missing > 0; missing -= blockBytes) yield Buffer.alloc(Math.min(missing, blockBytes), '.')
  yield tail
}

/** Bytes of every value that are the same for no two calls. */
function* noise(length: number, id: string): Generator<Buffer> {
  let block: Buffer = Buffer.from(id)
  for (let left = length; left > 0; left -= blockBytes) {
    const digests: Buffer[] = []
    for (let at = 0; at < Math.min(left, blockBytes); at += 32) {
      block = createHash('sha256').update(block).digest()
      digests.push(block)
    }
    yield Buffer.concat(digests).subarray(0, left)
  }
}

function* streamPieces(answer: StreamAnswer, behaviour: Behaviour): Generator<Piece> {
  const { gapMs = 0, silenceMs = 0 } = behaviour
  const silentAt = Math.max(1, eventCount(behaviour) >> 1)
  const framed = answer.framing === 'array' ? arrayFrames(chosen(answer, behaviour)) : eventFrames(answer, behaviour)
  let at = 0
  for (const text of framed) {
    yield { bytes: Buffer.from(text), pauseMs: (at === 0 ? 0 : gapMs) + (at === silentAt ? silenceMs : 0) }
    at += 1
  }
}

/** The parts that are sent: all with the terminator, or fewer, or an error among them. */
function* chosen(answer: StreamAnswer, behaviour: Behaviour): Generator<StreamPart> {
  const { errorEvent, truncate } = behaviour
  const most = errorEvent ?? truncate ?? Number.POSITIVE_INFINITY
  let sent = 0
  for (const part of answer.parts()) {
    if (sent >= most) break
    yield part
    sent += 1
  }
  if (errorEvent !== undefined) yield answer.error
  if (most === Number.POSITIVE_INFINITY || (errorEvent !== undefined && behaviour.thenTerminator === true))
    yield answer.terminator
}

function* eventFrames(answer: StreamAnswer, behaviour: Behaviour): Generator<string> {
  const eol = answer.crlf || behaviour.crlf === true ? '\r\n' : '\n'
  // The last frame is known only when no other follows, so each is held until the next.
  let held: string | undefined
  let id = 1
  for (const { name, data } of chosen(answer, behaviour)) {
    if (held !== undefined) yield held
    held = `${behaviour.ids === true ? `id: ${id++}${eol}` : ''}${name === undefined ? '' : `event: ${name}${eol}`}data: ${data}${eol}${eol}`
  }
  if (held === undefined) return
  if (behaviour.lastLine === undefined) yield held
  else yield held.slice(0, -2 * eol.length) + (behaviour.lastLine === 'one' ? eol : '')
}

/** As Google streams it: each element on its own, commas and brackets in between. */
function* arrayFrames(parts: Iterable<StreamPart>): Generator<string> {
  let before = '['
  for (const { data } of parts) {
    yield before + data
    before = '\n,\r\n'
  }
  yield before === '[' ? '[]\n' : '\n]\n'
}

/** Codes a body so that each piece can be decoded as it comes. `open` leaves out the coding's own end. */
export async function* gzipped(pieces: Iterable<Piece>, open: boolean): AsyncGenerator<Piece> {
  const gzip = createGzip()
  const out: Buffer[] = []
  gzip.on('data', (bytes: Buffer) => out.push(bytes))
  for (const { bytes, pauseMs } of pieces) {
    gzip.write(bytes)
    await new Promise<void>((resolve) => gzip.flush(constants.Z_SYNC_FLUSH, () => setImmediate(resolve)))
    yield { bytes: Buffer.concat(out.splice(0)), pauseMs }
  }
  if (open) return void gzip.destroy()
  await new Promise<void>((resolve) => gzip.once('end', resolve).end())
  yield { bytes: Buffer.concat(out.splice(0)), pauseMs: 0 }
}
