// Runs the chaos tests for longer than CI does: npm run test:chaos -- --minutes 30 [--seed 4711]
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

function numbers() {
  const { values } = parseArgs({ options: { minutes: { type: 'string' }, seed: { type: 'string' } } })
  for (const [name, value] of Object.entries(values))
    if (!/^\d+(\.\d+)?$/.test(value)) throw new Error(`--${name} takes a number, not "${value}".`)
  return values
}

try {
  const { minutes = '0', seed = String(Math.floor(Math.random() * 1e9)) } = numbers()
  console.log(`seed ${seed}`)
  const env = { ...process.env, ONCEKEY_CHAOS_MINUTES: minutes, ONCEKEY_SEED: seed }
  const { status } = spawnSync('npx', ['vitest', 'run', 'test/chaos'], { env, stdio: 'inherit' })
  process.exitCode = status ?? 1
} catch (error) {
  console.error(`${error.message} Usage: npm run test:chaos -- --minutes 30 [--seed 4711]`)
  process.exitCode = 2
}
