/** Processor time of what runs in one go: on a busy machine wall time says what the others did. */

/** What `run` took of a core, ms; the collector's threads are in it. */
export function cpuMs(run: () => unknown): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
