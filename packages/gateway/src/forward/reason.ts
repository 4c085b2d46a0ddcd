/** Why an upstream could not be reached, as far as it helps the caller to know. */

/** The code of an error, or of the first inside: a name with two addresses fails once for each. */
export function codeOf(error: unknown): string {
  const { code, errors } = Object(error) as { readonly code?: string; readonly errors?: readonly unknown[] }
  return code ?? (errors?.[0] === undefined ? '' : codeOf(errors[0]))
}

/** Codes of OpenSSL and Node for a chain that does not verify (nodejs.org/api/tls.html, X509 certificate error codes). */
const untrusted =
  /^(?:DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(?:GET|VERIFY|DECRYPT)_|CERT_|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH_|HOSTNAME_MISMATCH$)/

/** The words for a caller; undefined where "could not be reached" is all there is to say. Never an address or a name. */
export function reasonOf(error: unknown): string | undefined {
  const code = codeOf(error)
  if (code === 'CERT_HAS_EXPIRED') return 'The upstream has a certificate that has expired'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'The upstream has a certificate for another name'
  if (untrusted.test(code))
    return 'The upstream has a certificate that the gateway does not trust (its authority can be named in NODE_EXTRA_CA_CERTS)'
  return undefined
}
