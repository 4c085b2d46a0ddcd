/** The socket as a captured handler sees it: open until the exchange has ended. */
import type { Socket } from 'node:net'

/** Who hears of what is done to it. */
export interface StagedSocket {
  /** Frameworks destroy the socket where an answer that has begun cannot go on. */
  destroy(cause: unknown): void
  isOver(): boolean
}

const listening: ReadonlySet<unknown> = new Set(['on', 'once', 'addListener', 'prependListener', 'prependOnceListener'])
const endings: ReadonlySet<unknown> = new Set(['close', 'end', 'error'])

/**
 * A stand-in: Koa answers nothing where the socket cannot be written, and `send` (of `res.sendFile`) stops when it closes.
 * A handler that is to run to its end must not see that its client has gone.
 */
export function stagedSocket(socket: Socket, { destroy, isOver }: StagedSocket): Socket {
  const standIn: Socket = new Proxy(socket, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (isOver()) return typeof value === 'function' ? value.bind(target) : value
      if (name === 'writable' || name === 'readable') return true
      if (name === 'destroyed') return false
      if (name === 'destroy' || name === 'destroySoon' || name === 'resetAndDestroy') {
        return (cause?: unknown) => {
          destroy(cause)
          return standIn
        }
      }
      if (typeof value !== 'function') return value
      if (!listening.has(name)) return value.bind(target)
      return (event: string, listener: () => void) => {
        if (!endings.has(event)) value.call(target, event, listener)
        return standIn
      }
    },
    set: (target, name, value) => Reflect.set(target, name, value),
  })
  return standIn
}
