/** Renewals: one call for all leases of the process, and one more for each whose row is locked just then. */
import type { RenewAnswer, RenewRequest } from '../../core/store.ts'
import { apart, inOrder, type Port } from './asks.ts'
import { codeOf } from './errors.ts'

/** One answer a request, in order. */
export async function renew(port: Port, requests: readonly RenewRequest[]): Promise<readonly RenewAnswer[]> {
  const { single, repeated } = apart(requests.map((ask) => ask.recordId))
  const asks = single.map((at) => parameters(requests[at] as RenewRequest, at))
  const text = `SELECT "at", kind FROM ${port.schema}.renew($1::text::json)`
  const rows = [...(await port.query(text, [JSON.stringify(asks)])), ...repeated.map((at) => [String(at), 'busy'])]
  const answers = inOrder(requests.length, rows, ([, kind]) => kind as string)
  for (const [at, kind] of answers.entries()) {
    if (kind === 'busy') answers[at] = await renewAlone(port, requests[at] as RenewRequest)
  }
  return answers.map(answerOf)
}

/**
 * Waits for the row, half a second at most. Who has it locked for longer is the owner's own transaction that has settled
 * it and goes on (`settleIn`): nobody else can have it meanwhile, and `unknown` says what is true, that the lease was not
 * extended and that the attempt may still settle.
 */
async function renewAlone(port: Port, ask: RenewRequest): Promise<string> {
  try {
    const text = `SELECT ${port.schema}.renew_one($1::text, $2::text, $3::bigint)`
    const [row] = await port.query(text, [ask.recordId, ask.attemptId, Math.ceil(ask.leaseMs)])
    return row?.[0] ?? 'fenced'
  } catch (error) {
    if (error instanceof Error && codeOf(error.cause) === '55P03') return 'unknown'
    throw error
  }
}

function parameters(ask: RenewRequest, at: number): unknown {
  return { at, id: ask.recordId, attempt_id: ask.attemptId, lease_ms: Math.ceil(ask.leaseMs) }
}

function answerOf(kind: string): RenewAnswer {
  if (kind === 'renewed' || kind === 'unknown') return { kind }
  return { kind: 'fenced', resolved: kind === 'resolved' }
}
