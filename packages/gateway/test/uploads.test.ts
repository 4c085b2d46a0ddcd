/** Uploads larger than memory: over a nameless file, fingerprinted on the way, claimed, and then sent on. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type GatewayProgram, startGateway, until } from './harness.ts'

const mebibyte = 1024 * 1024
/** Larger than a gateway may grow by. */
const large = 300 * mebibyte
const growthMost = 60

interface Received {
  readonly length: number
  readonly digest: string
  readonly declared: string | undefined
}

let received: Received[] = []
let calls = 0
let refuse: ((response: ServerResponse) => void) | undefined
const upstream = createServer((request, response) => {
  calls += 1
  if (refuse !== undefined) return refuse(response)
  void digestOf(request).then(({ length, digest }) => {
    received.push({ length, digest, declared: request.headers['content-length'] })
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ id: `file-${calls}` }))
  })
})
let folder: string
let gateway: GatewayProgram

beforeAll(async () => {
  upstream.listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  folder = mkdtempSync(join(tmpdir(), 'oncekey-uploads-'))
  gateway = await start()
})
beforeEach(() => {
  received = []
  calls = 0
  refuse = undefined
})
afterEach(() => expect(readdirSync(folder)).toEqual([]))
afterAll(async () => {
  await gateway.kill()
  upstream.close()
  upstream.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
})

function start(flags: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<GatewayProgram> {
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  return startGateway(url, flags, { TMPDIR: folder, ...env })
}

async function digestOf(stream: IncomingMessage): Promise<{ length: number; digest: string }> {
  const hash = createHash('sha256')
  let length = 0
  for await (const bytes of stream as AsyncIterable<Buffer>) {
    hash.update(bytes)
    length += bytes.length
  }
  return { length, digest: hash.digest('hex') }
}

interface Upload {
  readonly key: string
  readonly bytes?: number
  readonly boundary?: string
  /** What the file is filled with. */
  readonly fill?: string
  readonly type?: string
  readonly chunked?: boolean
  /** Sends nothing before an answer. */
  readonly waits?: boolean
  /** Hangs up after so many bytes. */
  readonly until?: number
}

interface Told {
  readonly status: number
  readonly how: string | undefined
  readonly text: string
  /** Of the body as it was sent. */
  readonly digest: string
}

/** Sends a file, as one part of a form unless it is of another type. Resolves to undefined where it hung up. */
async function upload(to: GatewayProgram, ask: Upload): Promise<Told | undefined> {
  const { key, bytes = large, boundary = 'b1', fill = 'oncekey ', type, chunked = false } = ask
  const [begin, end] =
    type === undefined
      ? [
          `--${boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n`,
          `\r\n--${boundary}--\r\n`,
        ]
      : ['', '']
  const length = begin.length + bytes + end.length
  const request = httpRequest({
    host: '127.0.0.1',
    port: to.port,
    method: 'POST',
    path: '/v1/files',
    agent: false,
    headers: {
      Authorization: 'Bearer sk-test',
      'Idempotency-Key': key,
      'Content-Type': type ?? `multipart/form-data; boundary=${boundary}`,
      ...(chunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': length }),
    },
  })
  const answered = once(request, 'response') as Promise<[IncomingMessage]>
  answered.catch(() => undefined)
  let over = false
  request.on('error', () => undefined)
  let drained = (): void => undefined
  request.on('drain', () => drained())
  request.on('close', () => {
    over = true
    drained()
  })
  const hash = createHash('sha256')
  const block = Buffer.alloc(mebibyte, fill)
  const write = async (piece: Buffer): Promise<void> => {
    hash.update(piece)
    if (over || request.write(piece)) return
    await new Promise<void>((resolve) => {
      drained = resolve
    })
  }
  if (ask.waits === true) {
    request.flushHeaders()
    await answered
  }
  await write(Buffer.from(begin))
  for (let sent = 0; sent < bytes && !over; sent += block.length) {
    if (sent >= (ask.until ?? Number.POSITIVE_INFINITY)) {
      request.destroy()
      return undefined
    }
    await write(block.subarray(0, bytes - sent))
  }
  await write(Buffer.from(end))
  request.end()
  const [response] = await answered
  let text = ''
  for await (const piece of response as AsyncIterable<Buffer>) text += piece.toString()
  const how = response.headers['idempotency-status'] as string | undefined
  return { status: response.statusCode ?? 0, how, text, digest: hash.digest('hex') }
}

/** Files that a process holds open and that have no name any more. */
function nameless({ child }: GatewayProgram): number {
  const fds = `/proc/${child.pid}/fd`
  const targets = readdirSync(fds).map((fd) => {
    try {
      return readlinkSync(join(fds, fd))
    } catch {
      return ''
    }
  })
  return targets.filter((target) => target.includes('oncekey-upload-')).length
}

describe('an upload of 300 MiB', () => {
  test('is sent on byte for byte in flat memory, and a retry with another boundary is replayed', async () => {
    await upload(gateway, { key: 'warm', bytes: 20 * mebibyte })
    const before = gateway.residentMiB
    let most = before
    const watch = setInterval(() => {
      most = Math.max(most, gateway.residentMiB)
    }, 20)
    const first = await upload(gateway, { key: 'large' })
    const again = await upload(gateway, { key: 'large', boundary: 'another-boundary' })
    clearInterval(watch)
    expect([first?.status, first?.how]).toEqual([200, 'executed'])
    expect([again?.status, again?.how, again?.text]).toEqual([200, 'replayed', first?.text])
    expect(received[1]).toMatchObject({ digest: first?.digest, declared: String(received[1]?.length) })
    expect(calls).toBe(2)
    expect(most - before).toBeLessThan(growthMost)
    await until(() => nameless(gateway) === 0)
  })

  test('the control: what is held in memory is seen in it', async () => {
    const before = gateway.residentMiB
    let most = before
    const watch = setInterval(() => {
      most = Math.max(most, gateway.residentMiB)
    }, 20)
    const asks = [1, 2, 3].map((at) =>
      upload(gateway, { key: `json${at}`, type: 'application/json', bytes: 60 * mebibyte }),
    )
    await Promise.all(asks)
    clearInterval(watch)
    expect(most - before).toBeGreaterThan(growthMost)
  })
})

test('another file under the same key is refused, and the provider is not called again', async () => {
  const bytes = 8 * mebibyte
  expect(await upload(gateway, { key: 'other', bytes })).toMatchObject({ status: 200, how: 'executed' })
  expect(await upload(gateway, { key: 'other', bytes, fill: 'oncekeY ' })).toMatchObject({
    status: 422,
    how: 'refused',
  })
  expect(calls).toBe(1)
})

test('one that is held in memory and one that goes over the disk are the same request', async () => {
  const bytes = mebibyte
  const first = await upload(gateway, { key: 'both', bytes })
  expect(first).toMatchObject({ status: 200, how: 'executed' })
  expect(nameless(gateway)).toBe(0)
  expect(await upload(gateway, { key: 'both', bytes, chunked: true, boundary: 'c' })).toMatchObject({
    status: 200,
    how: 'replayed',
    text: first?.text,
  })
  expect(calls).toBe(1)
})

test('bytes of any other type, of unknown length, are compared as bytes', async () => {
  const ask = { type: 'application/octet-stream', bytes: 10 * mebibyte, chunked: true }
  const first = await upload(gateway, { key: 'bytes', ...ask })
  expect(first).toMatchObject({ status: 200, how: 'executed' })
  expect(received[0]).toEqual({ length: ask.bytes, digest: first?.digest, declared: String(ask.bytes) })
  expect(await upload(gateway, { key: 'bytes', ...ask })).toMatchObject({ how: 'replayed' })
  expect(await upload(gateway, { key: 'bytes', ...ask, fill: 'x' })).toMatchObject({ status: 422 })
  expect(calls).toBe(1)
})

test('two of one key at once are one call, and both get its answer', async () => {
  const asks = [0, 1].map((at) => upload(gateway, { key: 'twice', bytes: 20 * mebibyte, boundary: `b${at}` }))
  const told = await Promise.all(asks)
  expect(told.map((one) => one?.how).sort()).toEqual(['executed', expect.stringMatching(/^(?:joined|replayed)$/)])
  expect(told[0]?.text).toBe(told[1]?.text)
  expect(calls).toBe(1)
})

test('a caller who hangs up in the middle leaves no file and no claim', async () => {
  expect(await upload(gateway, { key: 'left', bytes: 40 * mebibyte, until: 20 * mebibyte })).toBeUndefined()
  await until(() => nameless(gateway) === 0)
  expect(calls).toBe(0)
  expect(await upload(gateway, { key: 'left', bytes: 8 * mebibyte, fill: 'another' })).toMatchObject({
    how: 'executed',
  })
})

test('kill -9 in the middle leaves no file', async () => {
  const doomed = await start()
  const uploading = upload(doomed, { key: 'killed', bytes: 2000 * mebibyte }).catch(() => undefined)
  await until(() => nameless(doomed) === 1)
  expect(readdirSync(folder)).toEqual([])
  await doomed.kill()
  await uploading
})

test('an upstream that refuses before it has read is heard', async () => {
  refuse = (response) => {
    response.writeHead(413, { 'Content-Type': 'application/json', Connection: 'close' })
    response.end('{"error":{"message":"too large for us"}}')
  }
  const told = await upload(gateway, { key: 'refused', bytes: 30 * mebibyte })
  expect(told).toMatchObject({ status: 413, how: 'executed', text: expect.stringContaining('too large for us') })
  await until(() => nameless(gateway) === 0)
})

describe('limits', () => {
  test('what is over --max-upload is refused before the provider is called, declared or not', async () => {
    const small = await start(['--max-upload', '10mb'])
    for (const chunked of [false, true]) {
      const told = await upload(small, { key: 'over', bytes: 12 * mebibyte, chunked }).catch(() => undefined)
      // A client that is still writing may see the connection end before the answer.
      if (told !== undefined) expect(told).toMatchObject({ status: 413, text: expect.stringContaining('--max-upload') })
    }
    expect(await upload(small, { key: 'under', bytes: 9 * mebibyte })).toMatchObject({ status: 200 })
    expect(calls).toBe(1)
    await small.kill()
  })

  test('a folder that cannot be written to is a sentence, and nothing is executed', async () => {
    const nowhere = await start([], { TMPDIR: join(folder, 'nowhere') })
    // Nothing of it is sent before the answer, which a client in the middle of writing might not see.
    const told = await upload(nowhere, { key: 'nowhere', bytes: 6 * mebibyte, waits: true })
    expect(told).toMatchObject({
      status: 503,
      how: 'refused',
      text: expect.stringMatching(/could not keep the upload in \S+nowhere \(ENOENT\)/),
    })
    expect(JSON.parse(told?.text ?? '{}')).toMatchObject({ code: 'spool_failed' })
    expect(await upload(nowhere, { key: 'nowhere', bytes: mebibyte })).toMatchObject({ status: 200 })
    expect(calls).toBe(1)
    await nowhere.kill()
  })
})
