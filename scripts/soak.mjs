// A gateway with two workers under a mix of everything for minutes: npm run test:soak -- --minutes 10 [--connections 1000]
// Memory, handles and the event loop's delay have to stay flat, and the ledger has to say what the provider charged.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { pretendPrice, startSandbox } from '../packages/gateway/dist/sandbox/index.js'
import { runCallers } from './soak/callers.mjs'
import { judge } from './soak/judge.mjs'

const bin = fileURLToPath(new URL('../packages/gateway/bin/oncekey.mjs', import.meta.url))
const monitor = new URL('./soak/monitor.mjs', import.meta.url).href

function options() {
  const { values } = parseArgs({ options: { minutes: { type: 'string' }, connections: { type: 'string' } } })
  for (const [name, value] of Object.entries(values))
    if (!/^\d+(\.\d+)?$/.test(value)) throw new Error(`--${name} takes a number, not "${value}".`)
  return { minutes: Number(values.minutes ?? 10), connections: Number(values.connections ?? 1000) }
}

/** `oncekey gateway`, once it accepts connections. */
async function startGateway(folder, upstream, everyMs) {
  const config = join(folder, 'oncekey.yaml')
  const { model, input, output } = pretendPrice
  writeFileSync(config, `prices: { "${model}": { input: ${input}, output: ${output} } }\n`)
  const samples = join(folder, 'samples.jsonl')
  writeFileSync(samples, '')
  // A short retention: records reach their end within the warm-up, and from then on as many go as come.
  const flags = ['--store', `lmdb:${join(folder, 'store')}`, '--retention', '20s', '--workers', '2', '--port', '0']
  const child = spawn(process.execPath, [bin, 'gateway', '--upstream', upstream, '--config', config, ...flags], {
    env: {
      ...process.env,
      NODE_OPTIONS: `--import ${monitor}`,
      ONCEKEY_SOAK_SAMPLES: samples,
      ONCEKEY_SOAK_EVERY_MS: String(everyMs),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (bytes) => {
    log += bytes
  })
  const [ready] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(() => [''])])
  const port = Number(/:(\d+) ->/.exec(String(ready))?.[1])
  if (!(port > 0)) throw new Error(`The gateway did not start: ${log}`)
  return { child, port, samples, exited: once(child, 'exit'), log: () => log }
}

/** Prints a line a measure and process; answers how many are not flat. */
function report(file) {
  const lines = readFileSync(file, 'utf8').trim().split('\n').filter(Boolean)
  const byPid = Map.groupBy ? Map.groupBy(lines.map(JSON.parse), ({ pid }) => pid) : grouped(lines.map(JSON.parse))
  if (byPid.size !== 2) throw new Error(`${byPid.size} workers were measured, where there should be 2.`)
  let wrong = 0
  for (const [pid, samples] of byPid) {
    const mapped = [0.3, 0.6, 1].map((part) => samples[Math.ceil(samples.length * part) - 1].mappedMiB.toFixed(0))
    console.log(`worker ${pid} maps ${mapped.join(', ')} MiB of files at a third, two thirds and the end`)
    for (const { measure, mean, most, perMinute, grown, allowed, flat } of judge(samples)) {
      const shown = [mean, most, perMinute, grown, allowed].map((value) => value.toFixed(2))
      console.log(
        `worker ${pid} ${measure.padEnd(8)} mean ${shown[0]}, most ${shown[1]}, ${shown[2]} a minute, ${shown[3]} in all (allowed ${shown[4]}): ${flat ? 'flat' : 'GROWS'}`,
      )
      if (!flat) wrong += 1
    }
  }
  return wrong
}

function grouped(samples) {
  const groups = new Map()
  for (const sample of samples) groups.set(sample.pid, [...(groups.get(sample.pid) ?? []), sample])
  return groups
}

/** What the ledger says of the store, in all. */
async function ledgerOf(folder) {
  const child = spawn(process.execPath, [bin, 'ledger', '--store', `lmdb:${join(folder, 'store')}`, '--json'])
  let text = ''
  child.stdout.on('data', (bytes) => {
    text += bytes
  })
  await once(child, 'close')
  return JSON.parse(text.trim().split('\n').at(-1) || '{}')
}

async function main() {
  const { minutes, connections } = options()
  const folder = mkdtempSync(join(tmpdir(), 'oncekey-soak-'))
  const sandbox = await startSandbox()
  const gateway = await startGateway(folder, sandbox.url, Math.min(5_000, minutes * 2_000))
  console.log(`${connections} callers, 2 workers, ${minutes} minutes`)
  try {
    const { done, complaints } = await runCallers({
      port: gateway.port,
      connections,
      forMs: minutes * 60_000,
      // So that a caller of a thousand does something every seven seconds, and one of a hundred every second.
      pauseMs: Math.max(700, connections * 7),
    })
    const wrong = report(gateway.samples)
    console.log(`store: ${(statSync(join(folder, 'store/data.mdb')).size / 2 ** 20).toFixed(0)} MiB`)
    gateway.child.kill('SIGTERM')
    const [code] = await gateway.exited
    const ledger = await ledgerOf(folder)
    const told = sandbox.calls.filter(({ toldUsage }) => toldUsage)
    const charged = told.reduce((sum, { costUsd }) => sum + Math.round(costUsd * 1e9), 0)
    const untold = sandbox.calls.filter(({ toldUsage, costUsd }) => !toldUsage && costUsd > 0).length
    console.log(
      Object.entries(done)
        .map(([kind, count]) => `${kind} ${count}`)
        .join(', '),
    )
    console.log(
      `provider: ${sandbox.calls.length} calls, ${charged} nanodollars told, ${untold} charged without telling`,
    )
    console.log(
      `ledger: ${ledger.executed} executed, ${ledger.nanodollars} nanodollars, ${ledger.replayed ?? 0} replayed, ${ledger.joined ?? 0} joined, ${ledger.drained ?? 0} drained, ${ledger.unmetered ?? 0} unmetered, ${ledger.lost ?? 0} lost`,
    )
    const failures = [
      ...(wrong > 0 ? [`${wrong} measures grow`] : []),
      ...(code === 0 ? [] : [`the gateway ended with ${code}: ${gateway.log().slice(-2000)}`]),
      ...(ledger.nanodollars === charged ? [] : ['the ledger and the bill differ']),
      ...((ledger.unmetered ?? 0) === untold ? [] : ['the ledger and the provider differ in calls without usage']),
      ...complaints.slice(0, 10),
      ...(complaints.length > 0
        ? [`${complaints.length} complaints in all`, `the gateway's log: ${gateway.log().slice(-2_000)}`]
        : []),
    ]
    for (const failure of failures) console.error(`soak: ${failure}`)
    console.log(failures.length === 0 ? 'soak: flat, and the bill is right' : 'soak: failed')
    process.exitCode = failures.length === 0 ? 0 : 1
  } finally {
    gateway.child.kill('SIGKILL')
    await sandbox.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

main().catch((error) => {
  console.error(`${error.message} Usage: npm run test:soak -- --minutes 10 [--connections 1000]`)
  process.exit(2)
})
