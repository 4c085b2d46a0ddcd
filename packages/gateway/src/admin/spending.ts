/** `GET /v1/ledger`: what `oncekey ledger --json` prints. */
import type { Engine } from 'oncekey/http'
import { lineJson, questionFrom, summarise, totalJson } from '../ledger/index.ts'
import { type AdminAnswer, type Asked, checkedQuery } from './asked.ts'
import { AdminError } from './problem.ts'

/** Lines, and all of them together. */
export async function spending({ calls }: Engine, { query }: Asked): Promise<AdminAnswer> {
  const names = ['by', 'since', 'until', 'tenant'] as const
  checkedQuery(query, names)
  const [by, since, until, tenant] = names.map((name) => query.get(name) ?? undefined)
  let question: ReturnType<typeof questionFrom>
  try {
    question = questionFrom({ by, since, until, tenant })
  } catch (error) {
    throw new AdminError('request_invalid', (error as Error).message)
  }
  const { lines, total } = await summarise(
    { tallies: (cursor) => calls.within('tallies', calls.store.tallies(cursor)) },
    question,
  )
  return { status: 200, body: { lines: lines.map(lineJson), total: totalJson(total) } }
}
