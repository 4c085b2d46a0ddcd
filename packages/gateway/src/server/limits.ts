/** Every limit of a gateway process that no option sets; docs/reference/limits.md lists them, and a test compares. */

/** What one process takes at most. */
export interface Limits {
  readonly connections: number
  /** Requests that are being answered or waited for, on all connections. */
  readonly requests: number
  /** The same on one connection: only pipelining can have more than one. */
  readonly pipelined: number
  readonly headBytes: number
  /** From the first byte of a connection or of a further request to the end of its head. */
  readonly headMs: number
  /** All buffered bodies together (http.md, Fingerprint). */
  readonly bodiesBytes: number
  /** A body has this long, and more for what has come: `bodyBytesPerSecond` earns a second. */
  readonly bodyMs: number
  readonly bodyBytesPerSecond: number
  /** A caller that takes nothing of an answer that is passed through; recorded ones are dropped after 60 s. */
  readonly stalledMs: number
  readonly keepAliveMs: number
  readonly handshakeMs: number
  /** Passed bodies up to this are read before they go on. */
  readonly onePieceBytes: number
}

/**
 * The rate is Apache's (`RequestReadTimeout body=20,MinRate=500`, httpd.apache.org/docs/2.4/mod/mod_reqtimeout.html): whoever is
 * slower than an old modem for more than a minute is not uploading.
 */
export const processLimits: Limits = {
  connections: 10_000,
  requests: 10_000,
  pipelined: 100,
  headBytes: 64 * 1024,
  headMs: 60_000,
  bodiesBytes: 512 * 1024 * 1024,
  bodyMs: 60_000,
  bodyBytesPerSecond: 500,
  stalledMs: 300_000,
  keepAliveMs: 75_000,
  handshakeMs: 10_000,
  onePieceBytes: 64 * 1024,
}
