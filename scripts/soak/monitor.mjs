// Loaded into each process of the gateway by NODE_OPTIONS: appends what it weighs to a file, a JSON line at a time.

import cluster from 'node:cluster'
import { appendFileSync, readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const file = process.env.ONCEKEY_SOAK_SAMPLES
if (file !== undefined && cluster.isWorker) {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const sample = () => {
    // The median: the worst of five seconds says more of what else the machine did.
    const delayMs = delay.percentile(50) / 1e6
    // What a collection leaves is what is held; without one the curve is a saw.
    collect()
    const { heapUsed, external } = process.memoryUsage()
    const status = readFileSync('/proc/self/status', 'utf8')
    const kibibytes = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1])
    const line = {
      pid: process.pid,
      atMs: Date.now(),
      // The process's own memory: what it maps of the store's file belongs to the system, which takes it back when it likes.
      ownMiB: kibibytes('RssAnon') / 1024,
      mappedMiB: kibibytes('RssFile') / 1024,
      heapMiB: (heapUsed + external) / 2 ** 20,
      handles: process.getActiveResourcesInfo().length,
      delayMs,
    }
    appendFileSync(file, `${JSON.stringify(line)}\n`)
    delay.reset()
  }
  setInterval(sample, Number(process.env.ONCEKEY_SOAK_EVERY_MS ?? 5_000)).unref()
}
