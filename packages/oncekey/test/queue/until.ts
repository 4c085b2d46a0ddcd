/** Waiting for what a real broker or process does in its own time. */

/** Resolves when it holds; rejects with the last answer after `forMs`. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, forMs = 10_000): Promise<void> {
  const untilMs = performance.now() + forMs
  while (!(await holds())) {
    if (performance.now() > untilMs) throw new Error(`${what} did not come about within ${forMs / 1000} s.`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
