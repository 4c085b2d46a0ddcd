/** Breaks an answer off so that no client takes what came for the whole. */
import type { ServerResponse } from 'node:http'

/**
 * Destroys the connection. A client of HTTP/1.0 (nginx, by default) knows no chunks: where there is no length, the end
 * of the connection is the end of its answer, and only a reset tells it otherwise.
 */
export function cutOff(response: ServerResponse): void {
  if (response.req.httpVersionMinor === 0) response.socket?.resetAndDestroy()
  // Not soon but now: `resetAndDestroy` alone waits for bytes that a stalled client may never take.
  response.destroy()
}
