/** The event stream grammar: line ends, splits, blocks, comments, size. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { offsetAfterEvent } from '../../src/providers/index.ts'
import { cpuMs } from '../cpu.ts'
import { bytesOf, chat, event, gemini, messages, paths, responses, scan, scannerFor } from './streams.ts'

const ends = ['\n', '\r\n', '\r'] as const

describe('line ends', () => {
  const streams = [
    [paths.chat, chat.body, chat.end],
    [paths.responses, responses.body, responses.end],
    [paths.anthropic, messages.body, messages.end],
  ] as const

  it.each(ends)('%j is understood, in any split', (eol) => {
    for (const [path, body, end] of streams) {
      const at = bytesOf(body.replaceAll('\n', eol)).length
      const whole = (body + end).replaceAll('\n', eol)
      for (const size of [1, 2, 3, 5, 64, 100_000]) {
        expect(scan(path, whole, { size, clean: false }), `${path} by ${size}`).toMatchObject({
          end: 'complete',
          terminatorAt: at,
          failed: false,
        })
      }
    }
  })

  it('may be mixed', () => {
    expect(scan(paths.chat, 'data: {}\r\n\rdata: {}\n\r\ndata: [DONE]\r\n\n', { size: 1, clean: false })).toMatchObject(
      { end: 'complete', terminatorAt: 22 },
    )
  })

  it('a byte order mark at the begin is skipped, and only there', () => {
    for (const size of [1, 2, 100]) {
      expect(scan(paths.chat, '\uFEFFdata: [DONE]\n\n', { size })).toMatchObject({ end: 'complete', terminatorAt: 0 })
      expect(scan(paths.chat, 'data: {}\n\n\uFEFFdata: [DONE]\n\n', { size }).end).toBe('truncated')
      expect(scan(paths.chat, '\uFEFF\uFEFFdata: [DONE]\n\n', { size }).end).toBe('truncated')
      const begun = Uint8Array.from([0xef, 0xbb, ...bytesOf('data: [DONE]\n\ndata: [DONE]\n\n')])
      expect(scan(paths.chat, begun, { size })).toMatchObject({ end: 'complete', terminatorAt: 16 })
    }
  })
})

describe('the end of an event', () => {
  const places = (text: string): boolean[] => {
    const scanner = scannerFor(paths.unknown)
    return [
      scanner.atEventEnd,
      ...[...bytesOf(text)].map((byte) => {
        scanner.push(Uint8Array.of(byte))
        return scanner.atEventEnd
      }),
    ]
  }
  const trues = (text: string): number[] => places(text).flatMap((value, at) => (value ? [at] : []))

  it('is at the begin and after each blank line, and nowhere else', () => {
    expect(trues('data: x\n\nid: 1\ndata: y\n\n')).toEqual([0, 9, 24])
    expect(trues('\n\ndata: x\n')).toEqual([0, 1, 2])
    expect(trues(': c\n\n')).toEqual([0, 5])
  })

  it('is not between a CR and the LF that belongs to it', () => {
    expect(trues('data: x\r\n\r\ndata: y\r\n\r\n')).toEqual([0, 11, 22])
  })

  it('is after the second CR of a stream that knows only CR', () => {
    expect(trues('data: x\r\rdata: y\r\r')).toEqual([0, 9, 18])
  })

  it('starts the next block, so that the terminator is offset by all that came before it', () => {
    expect(scan(paths.chat, 'data: {}\n\n\n\n: note\ndata: [DONE]\n\n').terminatorAt).toBe(12)
    expect(scan(paths.chat, 'data: {}\r\n\r\ndata: [DONE]\r\n\r\n', { size: 1 }).terminatorAt).toBe(12)
  })
})

const word = fc.constantFrom(
  'data',
  ': ',
  ':',
  '\n',
  '\r',
  '\r\n',
  '\n\n',
  'event',
  'id',
  '[DONE]',
  ' ',
  '{',
  '}',
  '"',
  '\\',
  '"type":',
  '"error"',
  ',',
  '1',
  'null',
  'message_stop',
  'error',
  'ß👋',
  '\uFEFF',
  '"response":',
  chat.body,
  messages.body,
  messages.end,
  gemini.end,
)
const path = fc.constantFrom(...Object.values(paths))

describe('any split', () => {
  it('means the same', () => {
    fc.assert(
      fc.property(
        path,
        fc.array(word, { maxLength: 30 }),
        fc.array(fc.nat(40), { maxLength: 20 }),
        fc.boolean(),
        (where, words, cuts, clean) => {
          const bytes = bytesOf(words.join(''))
          const whole = scan(where, bytes, { clean })
          expect(scan(where, bytes, { clean, size: 1 })).toEqual(whole)
          const scanner = scannerFor(where)
          let at = 0
          for (const cut of cuts) {
            scanner.push(bytes.subarray(at, at + cut))
            at = Math.min(bytes.length, at + cut)
          }
          scanner.push(bytes.subarray(at))
          expect(scanner.offset).toBe(bytes.length)
          expect({
            terminatorAt: scanner.terminatorAt,
            failed: scanner.failed,
            format: scanner.format,
            atEventEnd: scanner.atEventEnd,
          }).toEqual({
            terminatorAt: whole.terminatorAt,
            failed: whole.failed,
            format: whole.format,
            atEventEnd: whole.atEventEnd,
          })
          expect(scanner.end(clean)).toBe(whole.end)
        },
      ),
      { numRuns: 1500 },
    )
  })

  it('finds a failing member exactly where JSON.parse does', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 4 }),
        fc.constantFrom('error', 'type', 'x'),
        fc.jsonValue(),
        fc.nat(9),
        (other, key, value, size) => {
          const text = `{"a":${other},${JSON.stringify(key)}:${JSON.stringify(value)},"b":${other}}`
          const parsed = JSON.parse(text) as { error?: unknown; type?: unknown }
          const wanted = parsed.type === 'error' || Boolean(parsed.error)
          expect(scan(paths.chat, event(text), { size: size + 1 }).failed, text).toBe(wanted)
        },
      ),
      { numRuns: 1500 },
    )
  })
})

describe('size', () => {
  it('an event of many megabytes is read in linear time, in small pieces', () => {
    const filler = 'x\\"error\\":'.repeat(1_500_000)
    const bytes = bytesOf(`${responses.body}data: {"response":{"text":"${filler}"},"type":"response.completed"}\n\n`)
    const tookMs = cpuMs(() =>
      expect(scan(paths.responses, bytes, { size: 1000, clean: false })).toMatchObject({
        end: 'complete',
        terminatorAt: bytesOf(responses.body).length,
      }),
    )
    // Quadratic behaviour would take minutes.
    expect(tookMs).toBeLessThan(5_000)
  })

  it('a line of megabytes that is no data is no burden either', () => {
    const long = 'y'.repeat(2_000_000)
    const text = `event: ${long}\nid: ${long}\n${long}: x\n: ${long}\ndata: {}\n\n${chat.end}`
    expect(scan(paths.chat, text, { size: 10_000 }).end).toBe('complete')
  })

  it('nesting of any depth is no burden', () => {
    const deep = `${'[{"a":'.repeat(100_000)}1${'}]'.repeat(100_000)}`
    expect(scan(paths.chat, `${event(`{"deep":${deep},"error":{"x":1}}`)}`).failed).toBe(true)
    expect(scan(paths.chat, `${event(`{"deep":${deep.replace('"a":1', '"error":1')}}`)}${chat.end}`)).toMatchObject({
      failed: false,
      end: 'complete',
    })
  })
})

describe('Last-Event-ID', () => {
  const body = 'id: 1\ndata: a\n\n: c\n\ndata: b\n\nid:2\ndata: c\n\nid: 3\ndata: d'

  it('is found just after its block', () => {
    expect(offsetAfterEvent(bytesOf(body), '1')).toBe(15)
    expect(body.slice(offsetAfterEvent(bytesOf(body), '2'))).toBe('id: 3\ndata: d')
  })

  it('is unknown when no finished block has it', () => {
    for (const id of ['3', '4', '', ' ', 'a', '1\n', 'id: 1'.slice(0, 2)]) {
      expect(offsetAfterEvent(bytesOf(body), id), id).toBe(id === '1\n' ? 15 : undefined)
    }
  })

  it('knows all line ends, ids without data, and the last id of a block', () => {
    for (const eol of ends) {
      const text = `id: 7${eol}${eol}id: x${eol}id: 8${eol}data: a${eol}${eol}data: rest${eol}${eol}`
      expect(text.slice(offsetAfterEvent(bytesOf(text), '7'))).toBe(text.slice(`id: 7${eol}${eol}`.length))
      expect(text.slice(offsetAfterEvent(bytesOf(text), '8'))).toBe(`data: rest${eol}${eol}`)
      expect(offsetAfterEvent(bytesOf(text), 'x')).toBeUndefined()
    }
  })

  it('takes the first of equal ids, so that nothing is skipped, and ignores ids with a NUL', () => {
    expect(offsetAfterEvent(bytesOf('id: 1\ndata: a\n\nid: 1\ndata: b\n\n'), '1')).toBe(15)
    expect(offsetAfterEvent(bytesOf('id: 1\0\ndata: a\n\n'), '1\0')).toBeUndefined()
  })

  it('is the same id as UTF-8 text and as Node reads a header', () => {
    const bytes = bytesOf('id: Grüße\ndata: a\n\nrest')
    expect(offsetAfterEvent(bytes, 'Grüße')).toBe(bytes.length - 4)
    expect(offsetAfterEvent(bytes, Buffer.from('Grüße').toString('latin1'))).toBe(bytes.length - 4)
  })

  it('is found beyond the first piece of a long body', () => {
    const text = `${event('x'.repeat(100)).repeat(3000)}id: z\r\ndata: 1\r\n\r\nend`
    expect(text.slice(offsetAfterEvent(bytesOf(text), 'z'))).toBe('end')
  })
})
