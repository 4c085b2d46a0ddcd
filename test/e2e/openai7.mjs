// Runs openai 7 on Node 22 for sdk.ts: one JSON request a line on stdin, one JSON answer a line on stdout.
// Node 22 takes the types out of openai.ts by itself.
import { createInterface } from 'node:readline'
import OpenAI, { toFile } from 'openai7'
import { perform } from './openai.ts'

process.stdout.write(`${JSON.stringify({ node: process.versions.node })}\n`)
for await (const line of createInterface({ input: process.stdin })) {
  const { id, ask } = JSON.parse(line)
  void perform(OpenAI, toFile, ask).then((told) => process.stdout.write(`${JSON.stringify({ id, told })}\n`))
}
