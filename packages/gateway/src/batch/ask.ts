/** The port between a batch and whoever answers its lines: an exchange in this process, or a gateway at a URL. */
import type { OnAbandoned, RawHeaders } from 'oncekey/http'

/** One line as it is asked. */
export interface Asking {
  readonly method: 'POST'
  /** Path, and query where there is one. */
  readonly target: string
  /** Credential, key and all. */
  readonly headers: string[]
  readonly body: Buffer
}

/** What came back. */
export type Answer =
  | { readonly kind: 'whole'; readonly status: number; readonly headers: RawHeaders; readonly body: Buffer }
  /** With the headers of an answer that had begun. */
  | { readonly kind: 'broken'; readonly headers: RawHeaders | undefined }

/** With what becomes of a call that may have run; undefined where only a gateway knows. */
export type Answered = Answer & { readonly onAbandoned?: OnAbandoned | undefined }

/** Asks once; never rejects for what the provider does. */
export type Ask = (asking: Asking) => Promise<Answered>
