/** Why a database on the network could not be reached, in one sentence. */
import { redacted } from '../config/index.ts'

/** What the system or TLS says, and what to do about it. */
const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'is not running there (ECONNREFUSED). Start it, or check host and port',
  ENOTFOUND: 'has a host name that nobody knows (ENOTFOUND). Check the host',
  EAI_AGAIN: 'has a host name that cannot be looked up now (EAI_AGAIN). Check the host and the DNS',
  ETIMEDOUT: 'did not answer within 4 s. Check host, port, firewall, and whether it speaks TLS',
  EHOSTUNREACH: 'cannot be reached from here (EHOSTUNREACH). Check the network',
  ENETUNREACH: 'cannot be reached from here (ENETUNREACH). Check the network',
  ECONNRESET: 'ended the connection (ECONNRESET). Check the port, and whether it speaks TLS',
  EPROTO: 'does not speak TLS (EPROTO). Check the port, or take TLS out of the URL',
  ERR_SSL_WRONG_VERSION_NUMBER: 'does not speak TLS. Check the port, or take TLS out of the URL',
  ERR_TLS_CERT_ALTNAME_INVALID: 'has a certificate for another name. Use the name that the certificate has',
  CERT_HAS_EXPIRED: 'has a certificate that has expired. Renew it',
}

/** An Error of one sentence without a password: what was refused, or what is wrong on the way there. */
export function unreachable(refused: string | undefined, url: string, error: unknown): Error {
  const code = codeOf(error)
  const untrusted = /CERT|SELF_SIGNED|UNABLE_TO/.test(code)
  const what =
    refused ??
    reasons[code] ??
    (untrusted
      ? `has a certificate that this machine does not trust (${code}). Name its authority in NODE_EXTRA_CA_CERTS`
      : 'cannot be reached. Check the URL, and that the server is running')
  return new Error(`The store ${redacted(url)} ${what}.`, { cause: error })
}

/** The code of an error, or of the one inside: `localhost` fails once for each of its addresses. */
function codeOf(error: unknown): string {
  const { code, errors, message = '' } = error as { code?: string; errors?: readonly unknown[]; message?: string }
  if (code !== undefined) return code
  if (errors?.[0] !== undefined) return codeOf(errors[0])
  // pg ends its own wait without a code.
  return /timeout/i.test(message) ? 'ETIMEDOUT' : ''
}
