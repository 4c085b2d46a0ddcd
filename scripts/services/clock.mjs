// A moved clock for a real server: Debian's libfaketime lies to it about the time of day, and to nobody else.
import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ensureProgram } from '../tools.mjs'

/** The path of libfaketime, which Debian puts into a folder named after the machine; installed where that is allowed. */
export function ensureClock() {
  const find = () =>
    readdirSync('/usr/lib')
      .map((name) => join('/usr/lib', name, 'faketime', 'libfaketime.so.1'))
      .find((path) => existsSync(path))
  return ensureProgram('libfaketime', 'libfaketime', find)
}

/**
 * The variables under which a server reads its time of day from a file of its folder, at every look at the clock and in
 * all of its processes. The monotonic clock is left alone: event loops and timeouts run on it.
 */
export function clockVariables(folder) {
  const lies = ensureClock()
  // Redis' own allocator looks at the clock before libfaketime can answer, and waits for itself for ever: libc's goes first.
  const allocator = join(dirname(dirname(lies)), 'libc.so.6')
  return {
    LD_PRELOAD: `${lies}:${allocator}`,
    FAKETIME_TIMESTAMP_FILE: join(folder, 'clock'),
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  }
}

/** Gives a server the hands that move its clock. Both move the same one: a database has only a time of day. */
export function withClock(server) {
  let aheadMs = 0
  const move = async (ms) => {
    aheadMs += ms
    writeClock(server.folder, aheadMs)
  }
  return Object.assign(server, { advance: move, stepWall: move })
}

/** Sets the clock this far ahead. In one step: a server that found the file empty would show the true time. */
export function writeClock(folder, aheadMs) {
  const path = join(folder, 'clock')
  writeFileSync(`${path}.new`, `${aheadMs < 0 ? '-' : '+'}${(Math.abs(aheadMs) / 1000).toFixed(3)}\n`)
  renameSync(`${path}.new`, path)
}
