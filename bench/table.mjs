// Medians, spread and ratios of interleaved rounds.

/** Median of numbers. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Operations a second of `count` calls with 64 in flight. */
export async function rate(count, operate) {
  let next = 0
  const startedMs = performance.now()
  const worker = async () => {
    while (next < count) await operate(next++)
  }
  await Promise.all(Array.from({ length: 64 }, worker))
  return (count / (performance.now() - startedMs)) * 1000
}

/** Runs every case once a round, in turn, so that a noisy machine disturbs all of them alike. */
export async function rounds(count, cases) {
  const rates = Object.fromEntries(Object.keys(cases).map((name) => [name, []]))
  for (let round = 0; round < count; round++) {
    for (const [name, measure] of Object.entries(cases)) rates[name].push(await measure(round))
  }
  return rates
}

/** Prints one line a case; `goal` is the least ratio to `against`, taken round by round. A ratio without a name is no goal. */
export function print(title, rates, goals) {
  console.log(`\n${title}`)
  for (const [name, values] of Object.entries(rates)) {
    const middle = median(values)
    const spread = ((Math.max(...values) - Math.min(...values)) / middle) * 100
    const goal = goals[name]
    let verdict = ''
    if (goal !== undefined) {
      const ratios = values.map((value, round) => value / rates[goal.against][round])
      const ratio = median(ratios)
      verdict = `  ${ratio.toFixed(2)} of ${goal.against}`
      if (goal.name !== undefined)
        verdict += `, goal ${goal.name} ≥ ${goal.least}: ${ratio >= goal.least ? 'met' : 'MISSED'}`
    }
    console.log(
      `  ${name.padEnd(34)}${Math.round(middle).toLocaleString('en').padStart(10)}/s  ±${(spread / 2).toFixed(0)} %${verdict}`,
    )
  }
}
