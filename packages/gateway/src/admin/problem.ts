/** What the admin side refuses with: problem documents (RFC 9457) of its own few codes. */

/** Every code with its status; `docs/reference/admin.md` lists the same. */
export const adminProblems = {
  request_invalid: { status: 400, title: 'The request cannot be right' },
  token_required: { status: 401, title: 'The admin token is missing or wrong' },
  not_found: { status: 404, title: 'There is nothing at this path' },
  record_absent: { status: 404, title: 'There is no such record' },
  method_not_allowed: { status: 405, title: 'The path does not take this method' },
  record_moved: { status: 409, title: 'The record is not in a state that allows this' },
  body_too_large: { status: 413, title: 'The request body is too large' },
  store_unavailable: { status: 503, title: 'The store did not answer' },
  not_ready: { status: 503, title: 'The gateway takes no requests now' },
  internal: { status: 500, title: 'The admin side failed' },
} as const

/** One of them. */
export type AdminCode = keyof typeof adminProblems

/** A refusal on its way to whoever asked; the message is its `detail`. */
export class AdminError extends Error {
  override readonly name = 'AdminError'
  readonly code: AdminCode
  /** Further members of the document. */
  readonly more: Readonly<Record<string, unknown>>

  constructor(code: AdminCode, message: string, more: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.code = code
    this.more = more
  }
}

/** The document of a refusal; without the members that only AI SDKs look for. */
export function problemOf({ code, message, more }: AdminError): object {
  const { status, title } = adminProblems[code]
  return { type: `https://oncekey.dev/errors/${code}`, title, status, detail: message, code, ...more }
}
