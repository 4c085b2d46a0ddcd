/** deploy/: what stands in the Dockerfile and the unit, and that what the image's own steps install runs. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { dockerMistakes, unknownSettings } from '../../scripts/check-deploy.mjs'
import { Stage, until } from '../e2e/harness.ts'

const stage = new Stage()
afterAll(() => stage.close())
const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const dockerfile = readFileSync(path('deploy/Dockerfile'), 'utf8')

describe('the check of deploy/', () => {
  test('finds nothing wrong', () => {
    const { status, stderr } = spawnSync(process.execPath, [path('scripts/check-deploy.mjs')], { encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, ''])
  })

  test.each([
    ['root', 'USER node', '', 'The image runs as root.'],
    ['root by number', 'USER node', 'USER 0:0', 'The image runs as root.'],
    ['a floating base', 'FROM node:22-bookworm-slim\n#', 'FROM node\n#', 'FROM node has no version.'],
    ['the newest base', 'FROM node:22-bookworm-slim\n#', 'FROM node:latest\n#', 'FROM node:latest has no version.'],
    ['no health check', 'HEALTHCHECK', '#', 'The image has no health check.'],
    [
      'a shell before the program',
      'CMD ["gateway"]',
      'CMD gateway',
      'CMD goes through a shell, which swallows SIGTERM.',
    ],
    ['npm in the image', 'rm -rf /usr/local/lib/node_modules', 'true', 'npm is left in the image.'],
    [
      'a file that is not there',
      'COPY deploy/healthcheck.mjs',
      'COPY deploy/nothing.mjs',
      'COPY deploy/nothing.mjs: there is no such file.',
    ],
    ['a secret', 'ENV NODE_ENV', 'ENV API_KEY=x KEY=y NODE_ENV', 'A secret is in the image.'],
  ])('notices %s', (_, from, to, sentence) => {
    expect(dockerfile).toContain(from)
    expect(dockerMistakes(dockerfile.replace(from, to))).toContain(sentence)
  })

  test('notices a flag and a variable that do not exist', () => {
    const help = '--store URL --port N'
    expect(
      unknownSettings('node oncekey.mjs gateway --store x --prot 1\nENV ONCEKEY_PORT=1 ONCEKEY_STOER=2', help),
    ).toEqual(['prot', 'stoer'])
  })
})

test('what the steps of the image install runs by itself, is healthy, and has no build tools', {
  timeout: 400_000,
}, async () => {
  const app = join(stage.folder(), 'app')
  const built = spawnSync(process.execPath, [path('scripts/check-deploy.mjs'), '--build', app], { encoding: 'utf8' })
  expect([built.status, built.stderr]).toEqual([0, ''])
  for (const tool of ['typescript', 'vitest', '@biomejs/biome', 'knip'])
    expect(existsSync(join(app, 'node_modules', tool))).toBe(false)
  const program = stage.program(process.execPath, [
    join(app, 'node_modules/@oncekey/gateway/bin/oncekey.mjs'),
    ...['gateway', '--upstream', 'sandbox:', '--port', '0', '--store', stage.store()],
  ])
  await until(() => program.stdout.includes('\n') || program.over, 'it is ready', 20_000)
  const port = /:(\d+) ->/.exec(program.stdout)?.[1] ?? ''
  const healthy = (): number | null =>
    spawnSync(process.execPath, [path('deploy/healthcheck.mjs')], {
      env: { ...process.env, ONCEKEY_PORT: port, ONCEKEY_ADMIN_PORT: '' },
    }).status
  expect(healthy()).toBe(0)
  program.child.kill('SIGTERM')
  await once(program.child, 'exit')
  expect(healthy()).toBe(1)
})
