/**
 * What every script begins with: the store's time, and the record as it is read, packed and written. The scripts are the
 * reducer (`core/reducer.ts`) in Lua, function by function under the same names, so that the two can be read side by side.
 *
 * A record is one hash: `g` its guard fields, `h` its head, `b` the body of a small outcome that came with its settle, and
 * `s:` with a name behind it for each step.
 * Any other body is one string beside it, KEYS[2], to which pieces are appended. Both keys are named to the script, as
 * Redis asks of scripts, and both are in the slot of `{id}`.
 *
 * `g` is the layout of `core/encoding.ts`, format number first, and not 24 hash fields: one value is read, unpacked by one
 * call of C, written and sent. With the fields apart a first claim took the server 17 µs and not 7.5, and the client, which
 * is what limits the rate, parsed 24 values a reply and not one.
 *
 * Only what Redis 6.2 has: `struct`, `bit`, UNLINK, PEXPIREAT, effects replication (so TIME may come before a write).
 */
import { inlineBodyBytes } from '../../core/store.ts'

/**
 * How long a record stays behind its last expiry before Redis itself removes it, ms. A sweeper comes every minute, counts
 * what it purges, and raises the fence floor before it does; this is for the records that no process is left to sweep.
 */
export const graceMs = 300_000

/** The first line of an error that a script raises for what this version cannot read. */
export const unreadableMark = 'ONCEKEY_UNREADABLE'

/** The format of \`core/encoding.ts\` that the scripts read and write. */
const format = 1

/** Constants and time. `now` is in ms; the numbers of states, policies and outcomes are those of `core/encoding.ts`. */
export const time = `
local running, completed, released, unknown, expired = 0, 1, 2, 3, 4
local clock = redis.call('TIME')
local nowUs = clock[1] * 1000000 + clock[2]
local now = math.floor(nowUs / 1000)
`

/** `unpacked(g)` answers the record in its packed form, or nil where there is none; what it was is kept in it, for `save`. */
export const unpacked: string = `
local layout = '>BBBBBxxxddddddddddI4I4Bc0Bc0Bc0Bc0Bc0'

local function unpacked(g)
  if not g then return nil end
  if string.byte(g) ~= ${format} or #g < 101 then error('${unreadableMark}') end
  local _, state, onAbandoned, flags, outcome, fence, leaseUntil, bodyLength, retryAt, createdAt,
    settledAt, outcomeExpiresAt, tombstoneExpiresAt, retentionMs, tombstoneMs,
    attempt, _, attemptId, fingerprint, rawFingerprint, outcomeDigest = struct.unpack(layout, g)
  if state > expired or onAbandoned > 3 then error('${unreadableMark}') end
  local function flag(mask) return flags > 0 and bit.band(flags, mask) > 0 end
  local headed, inline = flag(16), flag(32)
  -- All at once: a table that grows field by field is moved five times.
  local r = {
    packed = g, wasHeaded = headed, wasInline = inline, wasLength = bodyLength,
    state = state, attemptId = attemptId, fence = fence, attempt = attempt, leaseUntil = leaseUntil,
    onAbandoned = onAbandoned, dispatched = flag(1), dropped = flag(2),
    recovering = flag(4), resolved = flag(8), steps = flag(64), hadSteps = flag(64), headed = headed, inline = inline,
    fingerprint = fingerprint, rawFingerprint = rawFingerprint, bodyLength = bodyLength,
    outcome = outcome, outcomeDigest = outcomeDigest, retryAt = retryAt, createdAt = createdAt,
    settledAt = settledAt, outcomeExpiresAt = outcomeExpiresAt, tombstoneExpiresAt = tombstoneExpiresAt,
    retentionMs = retentionMs, tombstoneMs = tombstoneMs, head = false,
  }
  return r
end
`

/**
 * `save(r, drop, write)` writes what a transition has made of the record: a reduction with its `drop` and `write`.
 * `headed` tells whether there is a head, and `head` is one that is to be written.
 */
export const save: string = `
local function packed(r)
  local flags = (r.dispatched and 1 or 0) + (r.dropped and 2 or 0) + (r.recovering and 4 or 0)
    + (r.resolved and 8 or 0) + (r.headed and 16 or 0) + (r.inline and 32 or 0) + (r.steps and 64 or 0)
  return struct.pack(layout, ${format}, r.state, r.onAbandoned, flags, r.outcome,
    r.fence, r.leaseUntil, r.bodyLength, r.retryAt, r.createdAt,
    r.settledAt, r.outcomeExpiresAt, r.tombstoneExpiresAt, r.retentionMs, r.tombstoneMs,
    r.attempt, 0, #r.attemptId, r.attemptId, #r.fingerprint, r.fingerprint,
    #r.rawFingerprint, r.rawFingerprint, #r.outcomeDigest, r.outcomeDigest, 0, '')
end

local function remove()
  redis.call('UNLINK', KEYS[1], KEYS[2])
end

local function dropSteps()
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(name, 1, 2) == 's:' then redis.call('HDEL', KEYS[1], name) end
  end
end

local function save(r, drop, write)
  if r.hadSteps and not r.steps then dropSteps() end
  if drop and r.wasInline then redis.call('HDEL', KEYS[1], 'b') end
  if drop and r.wasLength > 0 and not r.wasInline then redis.call('UNLINK', KEYS[2]) end
  if drop then r.inline = false end
  if r.wasHeaded and not r.headed then redis.call('HDEL', KEYS[1], 'h') end
  local fields = { 'g', '' }
  if r.head then fields[3], fields[4] = 'h', r.head end
  if write and #write > 0 then
    r.inline = r.state == completed and r.bodyLength == #write and #write <= ${inlineBodyBytes}
    if r.inline then
      fields[#fields + 1] = 'b'
      fields[#fields + 1] = write
    else
      redis.call('APPEND', KEYS[2], write)
    end
  end
  r.packed = packed(r)
  fields[2] = r.packed
  redis.call('HSET', KEYS[1], unpack(fields))
  if r.state ~= running then
    local at = string.format('%.0f', math.max(r.outcomeExpiresAt, r.tombstoneExpiresAt) + ${graceMs})
    redis.call('PEXPIREAT', KEYS[1], at)
    if r.bodyLength > 0 and not r.inline then redis.call('PEXPIREAT', KEYS[2], at) end
  end
end
`

/** `answer(kind, r)` answers with the record: its kind, the time, the guard fields and, where there is one, the head. */
export const answer: string = `
local function answer(kind, r)
  if not r then return { kind, now } end
  if not r.headed then return { kind, now, r.packed } end
  return { kind, now, r.packed, r.head or redis.call('HGET', KEYS[1], 'h') }
end
`
