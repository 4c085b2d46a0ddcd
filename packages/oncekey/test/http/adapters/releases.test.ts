/** The capture of a response knows insides of Node: the same on every release that we say it runs on. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const modules = fileURLToPath(new URL('../../../../../node_modules/', import.meta.url))
const program = fileURLToPath(new URL('pipelined.mjs', import.meta.url))
const releases = {
  20: process.execPath,
  22: `${modules}node-linux-${process.arch}/bin/node`,
  24: `${modules}node24-linux-${process.arch}/bin/node`,
}

test.each(Object.entries(releases))('Node %s answers pipelined requests in order, and drains', (_, node) => {
  expect(existsSync(node), `${node} is missing: run npm ci with optional dependencies`).toBe(true)
  const { stdout, stderr } = spawnSync(node, [program], { encoding: 'utf8', timeout: 15_000 })
  expect({ stdout, stderr }).toEqual({
    stdout: [
      'answer 1, answer 2, answer 3',
      '3000000 bytes, 1 run, replayed: true',
      '3000000 bytes, 1 run, replayed: true',
      '',
    ].join('\n'),
    stderr: '',
  })
})
