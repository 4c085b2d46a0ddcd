// Programs from outside npm that tests need: found on the PATH, or installed where that is allowed.
import { execFileSync } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The path of a program on the PATH, or undefined. */
function onPath(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter((part) => part !== '')) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return path
    } catch {
      // Not here.
    }
  }
  return undefined
}

/** The path of strace, which is installed with apt-get where it is missing and this is root. Throws when there is none. */
export function ensureStrace() {
  const found = onPath('strace')
  if (found !== undefined) return found
  const mayInstall = process.platform === 'linux' && process.getuid?.() === 0 && onPath('apt-get') !== undefined
  let cause
  if (mayInstall) {
    const quiet = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
    // The lists of a fresh image are empty or old, and then the first try fails.
    for (const args of [['install'], ['update'], ['install']]) {
      try {
        execFileSync('apt-get', args[0] === 'update' ? ['update'] : ['install', '-y', 'strace'], quiet)
      } catch (error) {
        cause = error
      }
      const installed = onPath('strace')
      if (installed !== undefined) return installed
    }
  }
  throw new Error('strace is missing and cannot be installed here: run "apt-get install -y strace" as root.', { cause })
}
