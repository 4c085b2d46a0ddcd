/** Runs an example of the repository against a broker of the tests. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What it prints; rejects when it fails or complains. The library is the built one. */
export async function printedBy(example: string, env: Readonly<Record<string, string>>): Promise<string> {
  const path = fileURLToPath(new URL(`../../../../examples/${example}`, import.meta.url))
  const { stdout, stderr } = await run(process.execPath, [path], { env: { ...process.env, ...env }, timeout: 20_000 })
  if (stderr !== '') throw new Error(`${example} complains: ${stderr}`)
  return stdout
}

/** What each of the three prints. */
export const chargedOnce = 'acknowledge\nacknowledge\nthe card was charged once\n'
