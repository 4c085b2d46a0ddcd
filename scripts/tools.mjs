// Programs from outside npm that tests need: found on the PATH, or installed where that is allowed.
import { execFileSync } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Whether this is a file that may be run. */
export function runs(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** The path of a program on the PATH, or undefined. Servers lie in /usr/sbin, which only root has on its PATH. */
export function onPath(name) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((part) => part !== '')
  return [...folders, '/usr/sbin', '/usr/local/sbin'].map((folder) => join(folder, name)).find(runs)
}

/** Whether a missing program may be installed here with apt-get. */
export function mayInstall() {
  return process.platform === 'linux' && process.getuid?.() === 0 && onPath('apt-get') !== undefined
}

/**
 * The path of a program, which is installed as a Debian package with apt-get where it is missing and this is root.
 * `find` tells where it lies when that is not the PATH. Throws when there is none.
 */
export function ensureProgram(name, debianPackage = name, find = () => onPath(name)) {
  const found = find()
  if (found !== undefined) return found
  let cause
  if (mayInstall()) {
    const quiet = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
    const install = ['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120', debianPackage]
    // The lists of a fresh image are empty or old, and then the first try fails.
    for (const args of [install, ['update'], install]) {
      try {
        execFileSync('apt-get', args, quiet)
      } catch (error) {
        cause = error
      }
      const installed = find()
      if (installed !== undefined) return installed
    }
  }
  throw new Error(
    `${name} is missing and cannot be installed here: run "apt-get install -y ${debianPackage}" as root.`,
    { cause },
  )
}
