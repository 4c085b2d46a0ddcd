/** Breaks an answer off so that no client takes what came for the whole. */
import type { ServerResponse } from 'node:http'

/**
 * Destroys the connection. A client of HTTP/1.0 (nginx, by default) knows no chunks: where there is no length, the end
 * of the connection is the end of its answer, and only a reset tells it otherwise. Node's `resetAndDestroy` ends the
 * connection first, and its FIN overtakes the reset where nothing is left to write; the flag that it sets for
 * `destroy` does without.
 */
export function cutOff(response: ServerResponse): void {
  const { req, socket } = response
  if (req.httpVersionMinor === 0 && socket !== null) Object.assign(socket, { resetAndClosing: true })
  response.destroy()
}
