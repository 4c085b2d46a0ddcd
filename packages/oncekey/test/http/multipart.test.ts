/** Multipart bodies: split exactly or not at all, and in linear time. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseMediaType } from '../../src/http/media.ts'
import { MultipartReader, type Part } from '../../src/http/multipart.ts'
import { nodeDigest } from '../../src/platform/node.ts'
import { cpuMs } from '../cpu.ts'
import { multipartParts } from './multipart-whole.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')
const text = (content: Uint8Array) => Buffer.from(content).toString('latin1')
/** The parts of a body that comes in pieces. */
function read(body: Uint8Array, boundary: string, size = body.length || 1): Part[] | undefined {
  const reader = new MultipartReader(nodeDigest, boundary)
  for (let at = 0; at < body.length; at += size) reader.push(body.subarray(at, at + size))
  return reader.end()
}
const parts = (body: string, boundary = 'b') =>
  read(bytes(body), boundary)?.map((part) => [part.headers.map((header) => header.join(': ')), text(part.begin)])
/** What the reader has to say of a body, by one that has it whole. */
const expected = (body: Uint8Array, boundary: string) =>
  multipartParts(body, boundary)?.map(({ headers, content }) => ({
    headers,
    digest: nodeDigest.sha256(content),
    begin: text(content.subarray(0, 256)),
  }))
const shown = (found: Part[] | undefined) => found?.map((part) => ({ ...part, begin: text(part.begin) }))

describe('the parts of a multipart body', () => {
  it('are header fields by name, and content', () => {
    const body =
      '--b\r\nContent-Type: text/plain\r\nContent-Disposition:form-data; name="f" \r\n\r\nhello\r\n--b\r\n\r\n\r\n--b--\r\n'
    expect(parts(body)).toEqual([
      [['content-disposition: form-data; name="f"', 'content-type: text/plain'], 'hello'],
      [[], ''],
    ])
  })

  it('keep line breaks and near-delimiters inside the content', () => {
    for (const content of ['\r\n', '\r\r\n', '\r\n--', '\r\n--a', '\n--b', '\r--b', '\r\n-b', '\r\r\n\r\n-']) {
      expect(parts(`--b\r\n\r\n${content}\r\n--b--`)).toEqual([[[], content]])
    }
  })

  it.each([
    '',
    '--b',
    '--b--',
    '--b--\r\n',
    '--b\r\n',
    '--b\r\n\r\nx',
    '--b\r\n\r\nx\r\n--b',
    '--b\r\n\r\nx\r\n--b-',
    'preamble\r\n--b\r\n\r\nx\r\n--b--',
    '\r\n--b\r\n\r\nx\r\n--b--',
    '--b\r\n\r\nx\r\n--b--epilogue',
    '--b\r\n\r\nx\r\n--b--\r\n\r\n',
    '--b\n\nx\n--b--',
    '--b \r\n\r\nx\r\n--b--',
    '--b\r\n\r\nx\r\n--bc\r\n\r\ny\r\n--b--',
    '--b\r\nno colon\r\n\r\nx\r\n--b--',
    '--b\r\na: 1\r\n folded\r\n\r\nx\r\n--b--',
    '--b\r\na : 1\r\n\r\nx\r\n--b--',
    '--b\r\na: 1\r\n--b--',
    '--b\r\n\r\n--b--',
    '--b\r\n--b--',
    '--b\r\na: 1\n\r\n\r\nx\r\n--b--',
    '--b\r\na: \xff\r\n\r\nx\r\n--b--',
    `--b\r\na: ${'x'.repeat(20_000)}\r\n\r\nx\r\n--b--`,
  ])('are not guessed: %j', (body) => {
    expect(parts(body)).toBeUndefined()
  })

  it('are what was joined, whatever bytes they hold', () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .string({ unit: fc.constantFrom('\r', '\n', '-', 'B', 'a'), maxLength: 12 })
        .map((given) => new Uint8Array(bytes(given))),
    )
    fc.assert(
      fc.property(
        fc.array(content, { minLength: 1, maxLength: 4 }),
        fc.constantFrom('Boundary-7MA4', '----x', '0'.repeat(70)),
        (contents, boundary) => {
          const body = Buffer.concat([
            ...contents.flatMap((given) => [bytes(`--${boundary}\r\nA: 1\r\n\r\n`), given, bytes('\r\n')]),
            bytes(`--${boundary}--\r\n`),
          ])
          expect(read(body, boundary)?.map((part) => text(part.begin))).toEqual(contents.map(text))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('are the same in whatever pieces they come, and of whatever a client makes up', () => {
    const token = fc.constantFrom('--b', '--b--', '\r\n', '\r', '\n', '-', 'a: 1', ':', ' ', 'x'.repeat(300), 'é', '')
    const wild = fc.array(token, { maxLength: 30 }).map((tokens) => tokens.join(''))
    const sound = fc
      .array(fc.tuple(fc.constantFrom('', 'a: 1\r\n', 'b:2\r\nA: é\r\n'), wild), { minLength: 1, maxLength: 4 })
      .map((made) => `${made.map(([head, content]) => `--b\r\n${head}\r\n${content}\r\n`).join('')}--b--\r\n`)
    let whole = 0
    fc.assert(
      fc.property(fc.oneof(wild, sound), fc.integer({ min: 1, max: 40 }), (body, size) => {
        const sent = new TextEncoder().encode(body)
        const wanted = expected(sent, 'b')
        if (wanted !== undefined) whole += 1
        for (const pieces of [1, size, sent.length || 1]) expect(shown(read(sent, 'b', pieces))).toEqual(wanted)
      }),
      { numRuns: 2_000 },
    )
    expect(whole).toBeGreaterThan(300)
  })

  it('hold a header of 16 KiB and no longer one, in whatever pieces', () => {
    for (const [length, size] of [16_380, 16_381, 16_382, 16_383, 16_384, 16_385, 16_400].flatMap((length) =>
      [1, 1000, 65_536].map((size) => [length, size] as const),
    )) {
      const body = bytes(`--b\r\na:${'x'.repeat(length - 6)}\r\n\r\nc\r\n--b--`)
      expect(shown(read(body, 'b', size)), `${length} in ${size}`).toEqual(expected(body, 'b'))
    }
  })

  it.each([
    ['carriage returns', '\r'],
    ['line breaks', '\r\n'],
    ['beginnings of the delimiter', `\r\n--${'b'.repeat(69)}`],
    ['zeros', '\0'],
    ['parts', `\r\n--${'b'.repeat(70)}\r\n\r\n`],
  ])('are looked for in linear time among %s', (_, piece) => {
    const boundary = 'b'.repeat(70)
    const body = bytes(`--${boundary}\r\n\r\n${piece.repeat(Math.floor(8_000_000 / piece.length))}`)
    const tookMs = cpuMs(() => {
      expect(read(body, boundary)).toBeUndefined()
      expect(read(body, boundary, 65_536)).toBeUndefined()
    })
    expect(tookMs).toBeLessThan(2000)
  })
})

describe('the media type', () => {
  it.each([
    ['application/json', ['application/json']],
    ['Application/JSON; charset=UTF-8', ['application/json']],
    ['application/json; charset=latin1', ['application/json', 'charset', 'latin1']],
    ['text/plain;charset="UTF-8"', ['text/plain', 'charset', 'utf-8']],
    ['text/plain; B=1; a="x\\"y"', ['text/plain', 'a', 'x"y', 'b', '1']],
    ['multipart/form-data; boundary=x', ['multipart/form-data']],
    ['text/plain;', ['text/plain']],
    ['text/plain; a', ['text/plain; a']],
    ['text/plain; a="x', ['text/plain; a="x']],
    ['text/plain; a=1; a=2', ['text/plain; a=1; a=2']],
    ['', ['']],
  ])('%j compares as %j', (field, comparable) => {
    expect(parseMediaType(field).comparable).toEqual(comparable)
  })

  it.each([
    ['x', 'x'],
    ['"a b"', 'a b'],
    ['""', undefined],
    ['"a "', undefined],
    ['"a;b"', undefined],
    ['x'.repeat(70), 'x'.repeat(70)],
    ['x'.repeat(71), undefined],
  ])('has the boundary %j only if it is one', (given, boundary) => {
    expect(parseMediaType(`multipart/form-data; boundary=${given}`).boundary).toBe(boundary)
  })

  it.each([
    [`a/b${' '.repeat(60_000)}x;`],
    [`a/b;${' '.repeat(60_000)}x`],
    [`a/b;x="${'\\a'.repeat(30_000)}`],
    [`a/b${';'.repeat(60_000)}`],
    [`a/b;${'c'.repeat(60_000)}`],
  ])('is read in linear time', (field) => {
    expect(cpuMs(() => parseMediaType(field))).toBeLessThan(200)
  })
})
