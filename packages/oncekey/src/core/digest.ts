/** The door through which hashing enters: SHA-256, whole or incremental, and HMAC-SHA-256 over length-prefixed parts. */

/** SHA-256 of bytes that arrive in pieces. */
export interface Hasher {
  update(bytes: Uint8Array): void
  /** Ends the hash; base64url without padding, 43 characters. */
  digest(): string
}

/** Hashing as the platform offers it. All results are base64url without padding. */
export interface Digest {
  sha256(bytes: Uint8Array | string): string
  hasher(): Hasher
  /**
   * HMAC-SHA-256 of the parts, each preceded by its length in bytes (decimal and a colon), so that no two lists of
   * parts have the same bytes ("ab"+"c" and "a"+"bc" differ).
   */
  hmac(key: Uint8Array, parts: readonly (string | Uint8Array)[]): string
}
