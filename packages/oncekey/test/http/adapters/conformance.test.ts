/** The HTTP suite can fail: for every number, a front door that breaks a rule fails a case of that number. */
import { createAdaptorServer } from '@hono/node-server'
import { describe, expect, test } from 'vitest'
import { idempotency } from '../../../src/http/fetch.ts'
import { fetchOrigin, type HttpConformanceOptions, httpConformance } from '../../../src/testing/index.ts'
import { crashing } from './crash.ts'
import { type Defect, defects } from './defects.ts'
import { listening, optionsFor } from './subject.ts'

interface Case {
  readonly name: string
  run(): Promise<void>
}

function casesOf(options: HttpConformanceOptions): Case[] {
  const cases: Case[] = []
  httpConformance({ test: (name, run) => void cases.push({ name, run }) }, options)
  return cases
}

/** The suite over an adapter that is intact but for one defect. */
function suite({ options = (wanted) => wanted, around = (serve) => serve }: Defect): Case[] {
  return casesOf({
    async open(origin, wanted) {
      const wrap = idempotency(
        optionsFor<Request>(options(wanted), ({ headers }, name) => headers.get(name) ?? undefined),
      )
      const serve = around(wrap(fetchOrigin(origin)))
      return listening(createAdaptorServer({ fetch: serve }) as never, wrap.close)
    },
    crash: crashing('node'),
  })
}

async function failures(cases: readonly Case[]): Promise<string[]> {
  const failed: string[] = []
  for (const { name, run } of cases) await run().catch(() => void failed.push(name))
  return failed
}

const numberOf = ({ name }: Case): string => name.split(' ')[0] ?? ''

describe('the HTTP conformance suite', () => {
  test('has a broken front door for every number', () => {
    const numbers = [...new Set(suite({}).map(numberOf))].sort()
    expect(numbers.length).toBe(17)
    expect([...Object.keys(defects), 'H14'].sort()).toEqual(numbers)
  })

  for (const [number, variants] of Object.entries(defects)) {
    test(`${number} is passed by an intact front door`, async () => {
      expect(await failures(suite({}).filter((one) => numberOf(one) === number))).toEqual([])
    })
    for (const [name, defect] of Object.entries(variants)) {
      test(`${number} is failed by a front door that ${name}`, async () => {
        const cases = suite(defect).filter((one) => numberOf(one) === number)
        expect(await failures(cases)).not.toEqual([])
      })
    }
  }

  test('H14 is failed by a front door that does after a crash what was not chosen', async () => {
    const crash = crashing('node')
    const swapped = casesOf({
      open: () => Promise.reject(new Error('not needed')),
      crash: (onAbandoned) => crash(onAbandoned === 'unknown' ? 'reexecute' : 'unknown'),
    })
    const cases = swapped.filter((one) => numberOf(one) === 'H14')
    expect(await failures(cases)).toEqual(cases.map(({ name }) => name))
  })
})
