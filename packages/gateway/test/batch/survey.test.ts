/** What a batch file may hold, and the sentence for each thing that it may not. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { linesOf } from '../../src/batch/lines.ts'
import { memberText } from '../../src/batch/member.ts'
import type { BatchRequest } from '../../src/batch/request.ts'
import { requestsOf, survey } from '../../src/batch/survey.ts'
import { anthropicLine, fileOf, folder, openaiLine, openaiLines } from './file.ts'

const maxBytes = 1024 * 1024

async function requests(text: string): Promise<BatchRequest[]> {
  const found: BatchRequest[] = []
  await survey(fileOf(text), maxBytes, (request) => found.push(request))
  return found
}

/** The refusal, with the file's path as FILE. */
async function refusal(text: string | Buffer): Promise<string> {
  const path = fileOf(text)
  const error = await survey(path, maxBytes).then(
    () => undefined,
    (thrown: Error) => thrown,
  )
  expect(error?.name).toBe('UsageError')
  return error?.message.replaceAll(path, 'FILE') ?? ''
}

describe('a file of either format', () => {
  test('of OpenAI asks what its lines say', async () => {
    const [request] = await requests(openaiLine('a'))
    expect(request).toMatchObject({ dialect: 'openai', customId: 'a', method: 'POST', target: '/v1/chat/completions' })
    expect(request).toMatchObject({ model: 'pretend-1', number: 1 })
  })

  test('of Anthropic asks for messages', async () => {
    const [request] = await requests(anthropicLine('a'))
    expect(request).toMatchObject({ dialect: 'anthropic', customId: 'a', target: '/v1/messages' })
    expect(JSON.parse(request?.body.toString() ?? '')).toMatchObject({ max_tokens: 9 })
  })

  test('sends the body as it is written: large numbers, order and spacing', async () => {
    const body = '{"seed": 12345678901234567890, "b":1 ,"a":[ {"}":"\\"]"} ] }'
    const line = `{"method":"POST", "body" : ${body} ,"url":"/v1/x?api-version=2", "custom_id":"a"}`
    const [request] = await requests(line)
    expect(request?.body.toString()).toBe(body)
    expect(request?.target).toBe('/v1/x?api-version=2')
  })

  test('may have empty lines, CRLF, a byte order mark and no end of its last line', async () => {
    const found = await requests(`\ufeff${openaiLine('a')}\r\n\n  \n${openaiLine('b')}`)
    expect(found.map(({ customId, number }) => [customId, number])).toEqual([
      ['a', 1],
      ['b', 4],
    ])
  })

  test('has the digest that sha256sum says', async () => {
    for (const text of [openaiLine('a'), `${openaiLine('a')}\n`]) {
      const { digest } = await survey(fileOf(text), maxBytes)
      expect(digest).toBe(createHash('sha256').update(text).digest('hex'))
    }
  })

  test('of twenty thousand lines has every one of them under its name', { timeout: 60_000 }, async () => {
    const { roll } = await survey(fileOf(openaiLines(20_000)), maxBytes)
    expect(roll.count).toBe(20_000)
    for (let at = 0; at < 20_000; at++) expect(roll.find(`line-${at}`)).toBe(at)
    expect(roll.find('line-20000')).toBeUndefined()
  })
})

describe('a file that cannot be right is refused by its first wrong line', () => {
  const good = openaiLine('good')
  const cases: readonly (readonly [string, string, string])[] = [
    ['no JSON', '{"custom_id":', 'is not a JSON object. Each line must be one whole request.'],
    ['an array', '[1]', 'is not a JSON object. Each line must be one whole request.'],
    ['no custom_id', '{"method":"POST","url":"/v1/x","body":{}}', 'has no custom_id. Give each line one of its own.'],
    ['a number for custom_id', '{"custom_id":7}', 'has a custom_id that is not a text.'],
    ['an empty custom_id', '{"custom_id":""}', 'has a custom_id that is not a text.'],
    [
      'no url',
      '{"custom_id":"x","method":"POST","body":{}}',
      'has no url. A line has custom_id, method, url and body, or custom_id and params.',
    ],
    [
      'nothing but a name',
      '{"custom_id":"x"}',
      'has no method. A line has custom_id, method, url and body, or custom_id and params.',
    ],
    [
      'a GET',
      '{"custom_id":"x","method":"GET","url":"/v1/x","body":{}}',
      'has the method "GET", and batches only POST.',
    ],
    [
      'a whole URL',
      '{"custom_id":"x","method":"POST","url":"https://evil.example/v1","body":{}}',
      'has the url "https://evil.example/v1", which must be a path such as /v1/chat/completions.',
    ],
    [
      'a url with a line end',
      '{"custom_id":"x","method":"POST","url":"/v1\\r\\nX: 1","body":{}}',
      'has the url "/v1\\r\\nX: 1", which must be a path such as /v1/chat/completions.',
    ],
    [
      'a text for a body',
      '{"custom_id":"x","method":"POST","url":"/v1/x","body":"{}"}',
      'has a body that is not a JSON object.',
    ],
    [
      'a stream',
      openaiLine('x', { stream: true }),
      'asks for a stream, which a batch cannot hold. Remove "stream" from its body.',
    ],
  ]
  for (const [what, line, sentence] of cases) {
    test(what, async () => {
      expect(await refusal(`${good}\n${line}\n${good}`)).toBe(`Line 2 of FILE ${sentence}`)
    })
  }

  test("a stream in Anthropic's format", async () => {
    expect(await refusal(anthropicLine('x', { stream: true }))).toContain('Remove "stream" from its params.')
  })
  test('a custom_id that is there twice, with both lines', async () => {
    const sentence = 'Line 4 of FILE has the custom_id "a" of line 1. Give each line one of its own.'
    expect(await refusal([openaiLine('a'), '', openaiLine('b'), openaiLine('a', { n: 2 })].join('\n'))).toBe(sentence)
  })
  test('two formats in one file', async () => {
    const sentence = 'Line 2 of FILE is in the format of anthropic and line 1 in that of openai. Make two files of it.'
    expect(await refusal(`${openaiLine('a')}\n${anthropicLine('b')}`)).toBe(sentence)
  })
  test('bytes that are not UTF-8', async () => {
    expect(await refusal(Buffer.from([0x7b, 0xff, 0x7d]))).toBe('Line 1 of FILE is not UTF-8.')
  })
  test('a line that is too long', async () => {
    const sentence = 'Line 2 of FILE is longer than 2097152 bytes. Raise --max-body, or split it.'
    expect(await refusal(`${good}\n${'x'.repeat(maxBytes * 3)}`)).toBe(sentence)
  })
  test('a body that is too long', async () => {
    expect(await refusal(`${good}\n${openaiLine('x', { input: 'x'.repeat(maxBytes) })}`)).toMatch(
      /^Line 2 of FILE has a body of \d+ bytes, and 1048576 are allowed\. Raise --max-body\.$/,
    )
  })
  test('no line at all', async () => {
    expect(await refusal('\n\n')).toBe('FILE has no line.')
  })
  test('a folder, and a name that is nobody', async () => {
    await expect(survey(folder(), maxBytes)).rejects.toThrow('is not a file. A batch is read twice')
    await expect(survey('/nowhere/in.jsonl', maxBytes)).rejects.toThrow('/nowhere/in.jsonl cannot be read (ENOENT)')
  })
})

test('a file that is another one when it is read again ends the run', async () => {
  const path = fileOf(`${openaiLine('a')}\n${openaiLine('b')}\n`)
  const surveyed = await survey(path, maxBytes)
  const read = async (): Promise<number> => {
    let count = 0
    for await (const { index } of requestsOf(surveyed)) count = index + 1
    return count
  }
  expect(await read()).toBe(2)
  for (const changed of [`${openaiLine('a')}\n`, `${openaiLine('a', { n: 2 })}\n`, openaiLines(3)]) {
    writeFileSync(path, changed)
    await expect(read()).rejects.toThrow('was changed while it was read')
  }
})

test('lines come whole and at their place, wherever the pieces of the file end', { timeout: 60_000 }, async () => {
  const path = join(folder(), 'lines')
  const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll('\n', ' ')))
  await fc.assert(
    fc.asyncProperty(texts, fc.boolean(), async (lines, ends) => {
      // One line is longer than the pieces in which files are read.
      const all = [...lines, 'x'.repeat(300_000), ...lines]
      const text = all.join('\n') + (ends ? '\n' : '')
      writeFileSync(path, text)
      const bytes = Buffer.from(text)
      const found: string[] = []
      for await (const line of linesOf(path, 1e9)) {
        found.push(line.bytes.toString())
        expect(bytes.subarray(line.offset, line.offset + line.bytes.length).equals(line.bytes)).toBe(true)
      }
      const wanted = text.split('\n')
      expect(found).toEqual(wanted.at(-1) === '' ? wanted.slice(0, -1) : wanted)
    }),
    { numRuns: 30 },
  )
})

test('the text of a member is what JSON.parse reads under its name', () => {
  const space = fc.constantFrom('', ' ', '\t\r\n')
  const names = fc.constantFrom('body', 'params', 'b"ody', '')
  const object = fc.array(fc.tuple(names, fc.jsonValue(), space), { minLength: 1 })
  fc.assert(
    fc.property(object, space, (members, gap) => {
      const inside = members.map(
        ([name, value, space]) => `${space}${JSON.stringify(name)}${space}:${gap}${JSON.stringify(value)}${space}`,
      )
      const text = `${gap}{${inside.join(',')}}${gap}`
      const parsed = JSON.parse(text) as Record<string, unknown>
      for (const name of ['body', 'params', 'b"ody', '', 'absent']) {
        const member = memberText(text, name)
        expect(member === undefined ? undefined : JSON.parse(member)).toEqual(parsed[name])
      }
    }),
  )
})
