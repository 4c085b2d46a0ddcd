/** The door through which cryptography enters: SHA-256, HMAC-SHA-256 over length-prefixed parts, and AES-256-GCM. */

/** SHA-256 of bytes that arrive in pieces. */
export interface Hasher {
  update(bytes: Uint8Array): void
  /** Ends the hash; base64url without padding, 43 characters. */
  digest(): string
}

/** What one encryption is bound to: decryption needs the very same. */
export interface Binding {
  /** 32 bytes. */
  readonly key: Uint8Array
  /** 12 bytes that this key never had before. */
  readonly nonce: Uint8Array
  /** Authenticated with it, and not part of what comes out. */
  readonly associated: Uint8Array
}

/** Cryptography as the platform offers it. Digests are base64url without padding. */
export interface Digest {
  sha256(bytes: Uint8Array | string): string
  hasher(): Hasher
  /**
   * HMAC-SHA-256 of the parts, each preceded by its length in bytes (decimal and a colon), so that no two lists of
   * parts have the same bytes ("ab"+"c" and "a"+"bc" differ).
   */
  hmac(key: Uint8Array, parts: readonly (string | Uint8Array)[]): string
  /** AES-256-GCM (NIST SP 800-38D): the encrypted bytes, and behind them the tag of 16 bytes. */
  encrypt(binding: Binding, plain: Uint8Array): Uint8Array
  /** The reverse; undefined for what `encrypt` did not make of the same binding. */
  decrypt(binding: Binding, encrypted: Uint8Array): Uint8Array | undefined
}
