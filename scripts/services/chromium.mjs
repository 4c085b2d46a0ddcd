// A private Chromium without a window: Debian's own, driven by playwright-core, with a profile that goes with it.
import { execFileSync } from 'node:child_process'
import { chromium } from 'playwright-core'
import { ensureProgram } from '../tools.mjs'

/** It asks nobody on the network for anything by itself; the sandbox of its processes does not work for root. */
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Which version a `chromium` is. */
export function chromiumVersion(program) {
  return /([\d.]+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8', stdio: 'pipe' }))?.[1] ?? 'unknown'
}

/** Starts one; playwright gives it a fresh profile, which `close()` removes. */
export function startChromium() {
  return chromium.launch({ executablePath: ensureProgram('chromium'), args: flags, headless: true })
}
