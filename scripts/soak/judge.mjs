// Says of a row of samples whether it stays flat.

/** The slope of the line through the points, by least squares. */
function slopeOf(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [atMean, valueMean] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))]
  let [above, below] = [0, 0]
  for (const [at, value] of points) {
    above += (at - atMean) * (value - valueMean)
    below += (at - atMean) ** 2
  }
  return below === 0 ? 0 : above / below
}

/** How much a measure may grow over the judged time: a part of its mean, and so much noise. */
const tolerances = {
  heapMiB: { part: 0.1, noise: 6 },
  ownMiB: { part: 0.15, noise: 15 },
  handles: { part: 0.15, noise: 40 },
  delayMs: { part: 0.4, noise: 10 },
}

/** The first part is warm-up: pools fill, code is compiled, records reach their retention. */
const warmUp = 0.3

/**
 * Judges the samples of one process, `{ atMs, <measure>… }` in order. Answers a line a measure; throws for too few samples, so that
 * nothing is called flat that nobody looked at.
 */
export function judge(samples) {
  const [first, last] = [samples.at(0), samples.at(-1)]
  if (samples.length < 10) throw new Error(`${samples.length} samples are too few to judge.`)
  const from = first.atMs + (last.atMs - first.atMs) * warmUp
  const judged = samples.filter(({ atMs }) => atMs >= from)
  return Object.entries(tolerances).map(([measure, { part, noise }]) => {
    const points = judged.map((sample) => [sample.atMs / 60_000, sample[measure]])
    if (points.some(([, value]) => !Number.isFinite(value))) throw new Error(`${measure} was not measured.`)
    const mean = points.reduce((sum, [, value]) => sum + value, 0) / points.length
    const most = Math.max(...points.map(([, value]) => value))
    const perMinute = slopeOf(points)
    const grown = perMinute * (points.at(-1)[0] - points[0][0])
    return { measure, mean, most, perMinute, grown, allowed: mean * part + noise, flat: grown <= mean * part + noise }
  })
}
