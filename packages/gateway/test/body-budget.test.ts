/** All request bodies of a process together are bounded, and what was held is given back however a request ends. */
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { IdempotencyError } from 'oncekey/http'
import { afterEach, describe, expect, test } from 'vitest'
import { BodyBudget } from '../src/server/body.ts'

const kibibyte = 1024
const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** A server that reads bodies out of one budget of 100 KiB, holds them until told, and answers what became of them. */
async function server(holders: Readonly<Record<string, { bytes: number }>> = {}) {
  const budget = new BodyBudget(100 * kibibyte)
  const releases: (() => void)[] = []
  let left = 0
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      const read = await budget.read(request, 80 * kibibyte, holders[request.url ?? ''])
      if (read === undefined) {
        left += 1
        return
      }
      releases.push(read.release)
      response.end(`read ${read.body.length}`)
    } catch (error) {
      response.end(error instanceof IdempotencyError ? error.code : String(error))
    }
  }
  const http = createServer((request, response) => void answer(request, response))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  closing.push(() => {
    http.close()
    http.closeAllConnections()
  })
  return { port: (http.address() as AddressInfo).port, releases, left: () => left }
}

/** A request of so many KiB, its body declared or chunked. */
function send(port: number, size: number, framing: 'length' | 'chunked' = 'length', path = '/') {
  const headers = framing === 'length' ? { 'Content-Length': size * kibibyte } : { 'Transfer-Encoding': 'chunked' }
  const request = httpRequest({ port, host: '127.0.0.1', method: 'POST', path, agent: false, headers })
  const answered = new Promise<string>((resolve) => {
    request.on('error', () => resolve('hung up'))
    request.on('response', (response) => {
      let text = ''
      response.on('data', (bytes) => {
        text += String(bytes)
      })
      response.on('end', () => resolve(text))
    })
  })
  return { request, answered, whole: () => request.end(Buffer.alloc(size * kibibyte)) }
}

async function full(port: number, size: number, framing?: 'length' | 'chunked', path?: string): Promise<string> {
  const one = send(port, size, framing, path)
  one.whole()
  return one.answered
}

describe('the budget of all bodies', () => {
  test('refuses what would go beyond it, declared or not, and takes it again once something was given back', async () => {
    const { port, releases } = await server()
    expect(await full(port, 60)).toBe(`read ${60 * kibibyte}`)
    expect(await full(port, 60)).toBe('too_many_waiting')
    expect(await full(port, 60, 'chunked')).toBe('too_many_waiting')
    expect(await full(port, 40)).toBe(`read ${40 * kibibyte}`)
    for (const release of releases) release()
    expect(await full(port, 60)).toBe(`read ${60 * kibibyte}`)
  })

  test('gives back what a caller had sent who hung up, and what was too large', async () => {
    const { port, left } = await server()
    expect(await full(port, 90, 'chunked')).toBe('body_too_large')
    const gone = send(port, 70)
    gone.request.write(Buffer.alloc(60 * kibibyte))
    // Held from its first byte on: a second one of that size finds no room.
    await expect.poll(() => full(port, 60, 'chunked')).toBe('too_many_waiting')
    gone.request.destroy()
    expect(await gone.answered).toBe('hung up')
    await expect.poll(left).toBe(1)
    expect(await full(port, 70)).toBe(`read ${70 * kibibyte}`)
  })

  test('given back twice counts once', async () => {
    const { port, releases } = await server()
    await full(port, 60)
    releases[0]?.()
    releases[0]?.()
    expect(await full(port, 70)).toBe(`read ${70 * kibibyte}`)
    expect(await full(port, 60)).toBe('too_many_waiting')
  })

  test.each(['length', 'chunked'] as const)(
    'lets one holder have as much as is free and no more, so that there is something left for the next: by %s',
    async (framing) => {
      const holders = { '/a': { bytes: 0 }, '/b': { bytes: 0 } }
      const { port, releases } = await server(holders)
      expect(await full(port, 51, framing, '/a')).toBe('quota_exceeded')
      expect(await full(port, 40, framing, '/a')).toBe(`read ${40 * kibibyte}`)
      expect(await full(port, 11, framing, '/a')).toBe('quota_exceeded')
      expect(await full(port, 30, framing, '/b')).toBe(`read ${30 * kibibyte}`)
      expect(await full(port, 1, framing, '/b')).toBe('quota_exceeded')
      // Who has no share is bound by the whole.
      expect(await full(port, 30, framing)).toBe(`read ${30 * kibibyte}`)
      expect(await full(port, 1, framing)).toBe('too_many_waiting')
      for (const release of releases) release()
      expect(holders).toEqual({ '/a': { bytes: 0 }, '/b': { bytes: 0 } })
      expect(await full(port, 50, framing, '/a')).toBe(`read ${50 * kibibyte}`)
    },
  )
})
