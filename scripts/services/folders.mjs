// Where private servers live: whose account they run on, folders of their own, and the cache of what is slow to make.
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * The account for servers that refuse to run as root, as options of `spawn`. Empty when this is not root.
 * Debian's PostgreSQL brings `postgres`; everybody has `nobody`.
 */
export function ordinaryUser() {
  if (process.getuid?.() !== 0) return {}
  const id = (flag, name) => Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }))
  for (const name of ['postgres', 'nobody']) {
    try {
      return { uid: id('-u', name), gid: id('-g', name) }
    } catch {
      // No such account.
    }
  }
  throw new Error('PostgreSQL refuses to run as root, and this machine has no account postgres or nobody: add one.')
}

/** An empty folder of its own below the temp folder, owned by `user`. */
export function ownFolder(name, user = {}) {
  const folder = mkdtempSync(join(tmpdir(), `oncekey-${name}-`))
  if (user.uid !== undefined) chownSync(folder, user.uid, user.gid)
  return folder
}

/**
 * A folder that is made once and kept for later runs. `make(folder)` fills it. It lies below the temp folder and not in
 * node_modules, for a checkout in /root is closed to the account that PostgreSQL runs on.
 */
export function cached(name, user, make) {
  const cache = join(tmpdir(), `oncekey-services-${process.getuid?.() ?? 'user'}`)
  mkdirSync(cache, { recursive: true })
  // Anybody may make a folder of this name in /tmp, and what lies in it is run.
  if (process.getuid !== undefined && lstatSync(cache).uid !== process.getuid()) {
    throw new Error(`${cache} belongs to another user: remove it, or set TMPDIR to a folder of your own.`)
  }
  chmodSync(cache, 0o755)
  const kept = join(cache, name)
  if (existsSync(kept)) return kept
  const made = ownFolder(`making-${name}`, user)
  try {
    make(made)
    chmodSync(made, 0o755)
    renameSync(made, kept)
  } catch (error) {
    rmSync(made, { recursive: true, force: true })
    // Another process was faster, and what it made is as good.
    if (!existsSync(kept)) throw error
  }
  return kept
}
