/** One POST, told as tests read it. */

/** What is sent beside the usual. */
export interface Posted {
  readonly key?: string
  readonly path?: string
  readonly body?: RequestInit['body']
  readonly type?: string | null
  readonly headers?: Record<string, string>
  readonly signal?: AbortSignal
}

/** What came back. */
export interface Answered {
  readonly status: number
  /** The `Idempotency-Status`. */
  readonly how: string | null
  readonly text: string
  readonly headers: Headers
}

/** POSTs JSON as one principal, unless told otherwise. Rejects when the connection breaks. */
export async function post(url: string, sent: Posted = {}): Promise<Answered> {
  const { key, path = '/things', body = '{"a":1}', type = 'application/json', headers, signal } = sent
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    body: body ?? null,
    headers: {
      Authorization: 'Bearer alice',
      ...(type === null ? {} : { 'Content-Type': type }),
      ...(key === undefined ? {} : { 'Idempotency-Key': key }),
      ...headers,
    },
    ...(signal === undefined ? {} : { signal }),
  })
  const how = response.headers.get('idempotency-status')
  return { status: response.status, how, text: await response.text(), headers: response.headers }
}
