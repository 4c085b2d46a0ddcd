/** Certificates for tests, made by openssl. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureProgram } from '../../../scripts/tools.mjs'

/** Paths of two PEM files. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** A certificate that signs itself, for a name; `days` below 0 has expired. */
export function selfSigned(name = 'localhost', days = 2): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'oncekey-tls-'))
  const [key, cert, asked] = ['key.pem', 'cert.pem', 'request.pem'].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ]
  const openssl = (...args: string[]): void => void execFileSync(ensureProgram('openssl'), args, { stdio: 'ignore' })
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
  openssl('req', '-new', ...kind, '-keyout', key, '-out', asked, ...subject)
  openssl(
    'x509',
    '-req',
    '-in',
    asked,
    '-signkey',
    key,
    '-days',
    String(days),
    '-copy_extensions',
    'copy',
    '-out',
    cert,
  )
  return { cert, key }
}
