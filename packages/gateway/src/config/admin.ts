/** Where the admin side listens, and who may ask it. */
import { readGuarded } from './guarded.ts'
import type { Settings } from './settings.ts'
import { UsageError } from './usage.ts'
import type { Origin } from './values.ts'

/** The admin side, where there is one. */
export interface AdminConfig {
  readonly host: string
  readonly port: number
  /** Undefined: a random one is made at the start. */
  readonly token: string | undefined
}

/** A bearer token as a header can carry it (RFC 6750 §2.1), too long to be guessed: 128 bits in base64 are 22 characters. */
const tokenForm = /^[\w.~+/-]{22,512}=*$/

/** The admin side of the settings; undefined without a port. Throws UsageError. */
export function adminOf(settings: Settings): AdminConfig | undefined {
  const port = settings.get('admin-port')
  const path = settings.get('admin-token-file')
  if (port === undefined) {
    if (path === undefined) return undefined
    throw new UsageError(`${settings.origin('admin-token-file')} is given, but no --admin-port that would ask for it.`)
  }
  const token = path === undefined ? undefined : readToken(path, settings.origin('admin-token-file'))
  return { host: settings.get('admin-host'), port, token }
}

/** The token in a file. Never repeats it. */
function readToken(path: string, origin: Origin): string {
  const token = readGuarded(path, origin, 'a file that holds the token').trim()
  if (tokenForm.test(token)) return token
  throw new UsageError(
    `The file ${path} (${origin}) must hold one token of at least 22 letters, digits or . ~ + / - _: head -c 32 /dev/urandom | base64 > ${path}`,
  )
}
