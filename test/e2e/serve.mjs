// Serves a client to node22.ts: one JSON request a line on stdin, one JSON answer a line on stdout.
import { createInterface } from 'node:readline'

/** `perform` makes one call and never rejects. Nothing else may write to stdout. */
export async function serve(perform) {
  process.stdout.write(`${JSON.stringify({ node: process.versions.node })}\n`)
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, ask } = JSON.parse(line)
    void perform(ask).then((told) => process.stdout.write(`${JSON.stringify({ id, told })}\n`))
  }
}
