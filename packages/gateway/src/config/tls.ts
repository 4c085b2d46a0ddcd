/** The certificate and the key with which the gateway itself speaks HTTPS. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readGuarded } from './guarded.ts'
import { UsageError } from './usage.ts'
import type { Origin } from './values.ts'

/** Both as PEM. */
export interface TlsIdentity {
  /** The gateway's own certificate first, then those up to its authority. */
  readonly cert: string
  readonly key: string
}

/** A file as it was named; the path is undefined where it was not. */
export interface NamedFile {
  readonly path: string | undefined
  readonly origin: Origin
}

/**
 * Reads both; undefined where none is named. Throws UsageError for what no client would accept: files that do not belong
 * together, a certificate that has expired.
 */
export function readTls(cert: NamedFile, key: NamedFile): TlsIdentity | undefined {
  if (cert.path === undefined && key.path === undefined) return undefined
  if (cert.path === undefined || key.path === undefined) {
    const missing = cert.path === undefined ? '--tls-cert' : '--tls-key'
    throw new UsageError(`HTTPS needs a certificate and its key: ${missing} is missing. Give --tls-cert and --tls-key.`)
  }
  const read = { cert: readCertificate(cert.path, cert.origin), key: readKey(key.path, key.origin) }
  const place = `The file ${cert.path} (${cert.origin})`
  if (!read.cert.parsed.checkPrivateKey(read.key.parsed)) {
    throw new UsageError(
      `${place} and ${key.path} (${key.origin}) do not belong together. Give the key of this certificate.`,
    )
  }
  const { validTo, validFrom } = read.cert.parsed
  if (Date.parse(validTo) < Date.now()) throw new UsageError(`${place} has expired (${validTo}). Renew it.`)
  if (Date.parse(validFrom) > Date.now()) throw new UsageError(`${place} is not valid before ${validFrom}.`)
  return { cert: read.cert.pem, key: read.key.pem }
}

function readCertificate(path: string, origin: Origin): { readonly pem: string; readonly parsed: X509Certificate } {
  let pem: string
  try {
    pem = readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UsageError(
      `${origin} is "${path}", which cannot be read (${code}). Name a PEM file with the certificate.`,
    )
  }
  try {
    return { pem, parsed: new X509Certificate(pem) }
  } catch {
    throw new UsageError(`The file ${path} (${origin}) holds no certificate in PEM ("-----BEGIN CERTIFICATE-----").`)
  }
}

function readKey(path: string, origin: Origin): { readonly pem: string; readonly parsed: KeyObject } {
  const pem = readGuarded(path, origin, 'a file with the private key in PEM')
  try {
    return { pem, parsed: createPrivateKey(pem) }
  } catch {
    const what = /ENCRYPTED/.test(pem)
      ? 'holds a key with a passphrase, which nobody could type in'
      : 'holds no private key in PEM'
    throw new UsageError(`The file ${path} (${origin}) ${what}. Give a key without one, readable by the gateway alone.`)
  }
}
