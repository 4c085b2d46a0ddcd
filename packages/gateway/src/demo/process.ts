/** The gateway as its own process, so that it can be killed like one. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../bin/oncekey.mjs', import.meta.url))

/** From the start to the ready line; a laptop needs half a second. */
const startWithinMs = 15_000

/** A gateway that accepts connections. */
export interface GatewayProcess {
  readonly pid: number
  readonly url: string
  /** kill -9, or gently; resolves when the process is gone. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
}

/** Runs another command to its end; resolves to what it printed. */
export function runCommand(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [bin, ...args], { env: plain(env) }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`oncekey ${args[0]} failed in the demo: ${stderr.trim()}`))
    })
  })
}

/** The variables of a gateway that the user runs must not change what is shown. */
function plain(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('ONCEKEY_')))
}

/** Starts `oncekey gateway` on a free port. `born` hears of the child at once, so that whoever stops can end it. */
export function startGateway(
  flags: readonly string[],
  env: NodeJS.ProcessEnv,
  born: (child: ChildProcess) => void,
): Promise<GatewayProcess> {
  const child = spawn(process.execPath, [bin, 'gateway', '--port', '0', ...flags], {
    env: plain(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  born(child)
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return new Promise((resolve, reject) => {
    let said = ''
    let complained = ''
    const late = setTimeout(() => reject(new Error('The gateway of the demo did not start.')), startWithinMs)
    child.on('error', (error) => reject(new Error(`The gateway of the demo could not be started: ${error.message}`)))
    child.stderr.on('data', (bytes: Buffer) => {
      complained = (complained + bytes.toString()).slice(-2_000)
    })
    child.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString()
      const url = /listening on (http:\S+)/.exec(said)?.[1]
      if (url === undefined) return
      clearTimeout(late)
      resolve({
        pid: child.pid ?? 0,
        url,
        end: (signal) => {
          child.kill(signal)
          return gone
        },
      })
    })
    void gone.then(() => {
      clearTimeout(late)
      const reason = complained
        .trim()
        .split('\n')
        .at(-1)
        ?.replace(/^oncekey: /, '')
      reject(new Error(`The gateway of the demo ended at its start: ${reason}`))
    })
  })
}
