/** Is there one order of calls, each at one moment between its question and its answer, that explains all answers? */

/** One call of a history. Times are of one clock; `returnedAt` is infinite for a call whose answer was never heard. */
export interface Call<State> {
  readonly name: string
  readonly invokedAt: number
  readonly returnedAt: number
  /** The states that the call may leave behind, given its answer; none where the answer contradicts the state. */
  apply(state: State): readonly State[]
}

/**
 * The search of Wing and Gong with the memory of Lowe ("Testing for linearizability", 2017): takes the calls that nothing
 * else must precede, one after another, and never tries the same set of calls from the same state twice. Calls that were
 * never answered may have happened or not. Undefined when no order explains the history.
 */
export function linearize<State>(
  start: State,
  calls: readonly Call<State>[],
  keyOf: (state: State) => string,
): readonly string[] | undefined {
  const tried = new Set<string>()
  const order: string[] = []
  const must = calls.reduce((mask, call, at) => (call.returnedAt === Infinity ? mask : mask | bit(at)), 0n)

  function search(done: bigint, state: State): boolean {
    if ((done & must) === must) return true
    const key = `${done} ${keyOf(state)}`
    if (tried.has(key)) return false
    tried.add(key)
    let firstReturn = Number.POSITIVE_INFINITY
    for (const [at, call] of calls.entries())
      if ((done & bit(at)) === 0n) firstReturn = Math.min(firstReturn, call.returnedAt)
    for (const [at, call] of calls.entries()) {
      // Whoever was asked only after another had its answer cannot come before it.
      if ((done & bit(at)) !== 0n || call.invokedAt > firstReturn) continue
      order.push(call.name)
      for (const next of call.apply(state)) if (search(done | bit(at), next)) return true
      order.pop()
    }
    return false
  }
  return search(0n, start) ? order : undefined
}

function bit(at: number): bigint {
  return 1n << BigInt(at)
}
