/** The file of results: gone on with where a run left it, never half a line, in order in the end. */
import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { resultId } from '../../src/batch/key.ts'
import { type Order, Output } from '../../src/batch/output.ts'
import { doneLine, failedLine } from '../../src/batch/result.ts'
import { type Survey, survey } from '../../src/batch/survey.ts'
import { anthropicLine, fileOf, folder, openaiLines } from './file.ts'

const batchId = 'nightly'
let path: string
beforeEach(() => {
  path = join(folder(), 'out.jsonl')
})

const surveyed = (text = openaiLines(5)): Promise<Survey> => survey(fileOf(text), 1_000_000)

function named(read: Survey, index: number): Parameters<typeof doneLine>[0] {
  return { dialect: read.dialect, customId: `line-${index}`, id: resultId(batchId, read.roll.content(index)) }
}

/** The result of a line, told apart by its word. */
function result(read: Survey, index: number, word = 'ok'): Buffer {
  const body = Buffer.from(JSON.stringify({ word, index }))
  return doneLine(named(read, index), { kind: 'whole', status: 200, headers: [], body })
}

/** One run that adds the results of these lines. */
async function run(indexes: readonly number[], order: Order = 'input'): Promise<Survey> {
  const read = await surveyed()
  const output = await Output.open(read, batchId, path, order)
  for (const index of indexes) await output.add(index, result(read, index))
  await output.close()
  return read
}

function names(): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { custom_id: string }).custom_id)
}

/** Which lines of the batch a run that comes now finds finished. */
async function finished(): Promise<number[]> {
  const read = await surveyed()
  await (await Output.open(read, batchId, path, 'completion')).close()
  return Array.from({ length: read.roll.count }, (_, at) => at).filter((at) => read.roll.placeOf(at) !== undefined)
}

describe('order', () => {
  test('of the input, however the results came', async () => {
    await run([4, 1, 3, 0, 2])
    expect(names()).toEqual(['line-0', 'line-1', 'line-2', 'line-3', 'line-4'])
    expect(readdirSync(dirname(path))).toEqual(['out.jsonl'])
  })
  test('of completion, as they came', async () => {
    await run([4, 1, 3, 0, 2], 'completion')
    expect(names()).toEqual(['line-4', 'line-1', 'line-3', 'line-0', 'line-2'])
  })
  test('of the input over several runs, with lines still missing', async () => {
    await run([3, 1], 'completion')
    await run([4, 0])
    expect(names()).toEqual(['line-0', 'line-1', 'line-3', 'line-4'])
  })
})

describe('a run that comes after another', () => {
  test('finds what is finished', async () => {
    await run([3, 1])
    expect(await finished()).toEqual([1, 3])
  })

  test('cuts off a torn last line, wherever it is torn, and asks for it again', async () => {
    await run([0, 1, 2])
    const whole = readFileSync(path)
    const begin = whole.lastIndexOf('{"id":"batch_req_')
    for (let length = begin + 1; length < whole.length; length += 7) {
      writeFileSync(path, whole)
      truncateSync(path, length)
      expect([length, await finished()]).toEqual([length, [0, 1]])
      expect(statSync(path).size).toBe(begin)
    }
    await run([2])
    expect(readFileSync(path).equals(whole)).toBe(true)
  })

  test('without the repair would have glued two lines into one: what it is to prevent', async () => {
    const read = await run([0, 1])
    truncateSync(path, statSync(path).size - 5)
    appendFileSync(path, result(read, 2))
    expect(() => names()).toThrow()
  })

  test('cuts off zeros, which a power cut may leave', async () => {
    await run([0])
    appendFileSync(path, Buffer.alloc(4_096))
    expect(await finished()).toEqual([0])
  })

  test('asks again for a line that failed, and its new result takes the place of the old one', async () => {
    const read = await surveyed()
    const failure = { kind: 'told', code: 'upstream_timeout', message: 'It took too long.' } as const
    const output = await Output.open(read, batchId, path, 'completion')
    await output.add(0, failedLine(named(read, 0), failure))
    await output.add(1, result(read, 1))
    await output.close()
    expect(names()).toEqual(['line-0', 'line-1'])
    expect(await finished()).toEqual([1])
    await run([0], 'completion')
    expect(names()).toEqual(['line-1', 'line-0'])
    expect(readFileSync(path, 'utf8')).not.toContain('upstream_timeout')
  })

  test('knows its own lines in the format of Anthropic as well', async () => {
    const text = `${anthropicLine('line-0')}\n${anthropicLine('line-1')}\n`
    const read = await surveyed(text)
    const output = await Output.open(read, batchId, path, 'input')
    await output.add(1, result(read, 1))
    await output.close()
    const again = await surveyed(text)
    await (await Output.open(again, batchId, path, 'input')).close()
    expect([again.roll.placeOf(0), again.roll.placeOf(1)?.offset]).toEqual([undefined, 0])
  })
})

describe('a file that is not of this batch is refused, and left as it is', () => {
  const refused = async (text: string, id = batchId): Promise<void> => {
    writeFileSync(path, text)
    const opening = surveyed().then((read) => Output.open(read, id, path, 'input'))
    await expect(opening).rejects.toThrow(`of ${path} is no result of this batch`)
    expect(readFileSync(path, 'utf8')).toBe(text)
  }
  test('something else', () => refused('name,price\n'))
  test('something else without a line end', () => refused('precious'))
  test('a batch file', () => refused(openaiLines(2)))
  test('results of another batch id', async () => {
    await run([0])
    await refused(readFileSync(path, 'utf8'), 'nightly-2')
  })
  test('results of a request that was changed under the same custom_id', async () => {
    await run([0])
    await refused(readFileSync(path, 'utf8').replace(/batch_req_./, 'batch_req_x'))
  })
})

describe('a file that cannot be written', () => {
  test('because the disk is full: the sentence says so', async () => {
    const read = await surveyed()
    const output = await Output.open(read, batchId, '/dev/full', 'completion')
    await expect(output.add(0, result(read, 0))).rejects.toThrow('The disk under /dev/full is full. Make room and run')
    await output.close()
  })
  test('because somebody else writes to it', async () => {
    const read = await surveyed()
    const output = await Output.open(read, batchId, path, 'completion')
    await output.add(0, result(read, 0))
    appendFileSync(path, 'x')
    await expect(output.add(1, result(read, 1))).rejects.toThrow('is being written by somebody else')
  })
  test('because it is a device, and the lines should be in order', async () => {
    const read = await surveyed()
    await expect(Output.open(read, batchId, '/dev/full', 'input')).rejects.toThrow('Add --order completion.')
  })
  test('because its folder is not there', async () => {
    const read = await surveyed()
    await expect(Output.open(read, batchId, '/nowhere/out.jsonl', 'input')).rejects.toThrow(
      'The output /nowhere/out.jsonl cannot be opened (ENOENT). Check --out.',
    )
  })
})
