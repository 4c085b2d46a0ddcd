/** What the store needs of a client of Redis, whichever it is: commands go out together, answers come back in order. */

/** A command: its name and arguments. Text is ASCII; bytes are Buffers. */
export type Command = readonly [name: string, ...rest: readonly (string | Buffer)[]]

/** A command on one key, which says where it goes in a cluster. */
export interface KeyedCommand {
  readonly key: string
  readonly command: Command
}

/**
 * What was answered: bytes as Buffers, numbers, null, lists of these. An error is a value here, so that one command's
 * refusal does not hide what became of the others.
 */
export type Reply = unknown

/** One server that takes writes. */
export interface Primary {
  /** Sends all at once; answers one reply a command, in order, and never rejects. */
  send(commands: readonly Command[]): Promise<readonly Reply[]>
}

/** A client: of one server, of one that Sentinel names, or of a cluster. */
export interface Wire {
  /**
   * Sends all at once, each to the server that has its key. With `waitReplicas`, resolves to what became of it once as
   * many replicas have what was written before, or `waitMs` is over.
   */
  send(commands: readonly KeyedCommand[], wait?: WaitFor): Promise<Sent>
  /** All servers that take writes, in an order that stays while the cluster's shape does. */
  primaries(): Promise<readonly Primary[]>
}

/** How many replicas must have a write before it is acknowledged, and for how long to wait for them. */
export interface WaitFor {
  readonly replicas: number
  readonly waitMs: number
}

/** The replies, and for each server that was waited for how many replicas it has heard of, or its error. */
export interface Sent {
  readonly replies: readonly Reply[]
  readonly acknowledged: readonly Reply[]
}

/** The command that waits. */
export function waitCommand(wait: WaitFor): Command {
  return ['WAIT', String(wait.replicas), String(wait.waitMs)]
}

/** What became of promises, errors as values. */
export function settledReplies(calls: readonly Promise<unknown>[]): Promise<Reply[]> {
  return new Promise((resolve) => {
    const replies: Reply[] = new Array(calls.length)
    let left = calls.length
    if (left === 0) resolve(replies)
    const settle = (at: number, reply: Reply): void => {
      replies[at] = reply
      left -= 1
      if (left === 0) resolve(replies)
    }
    for (const [at, call] of calls.entries()) {
      call.then(
        (reply) => settle(at, reply),
        (reason: unknown) => settle(at, asError(reason)),
      )
    }
  })
}

/** A reason as an Error. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
