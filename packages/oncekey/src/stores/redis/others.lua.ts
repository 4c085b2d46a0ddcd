/** What others than the owner do with a record: end it, sweep it, read it. */
import { answer, save, time, unpacked, unreadableMark } from './prelude.lua.ts'
import { type Script, script } from './script.ts'
import { abandon, complete, expire, questions, release } from './transitions.lua.ts'

/** T8. ARGV: expected, fresh, and `cancelled`, or for completed the outcome, its head and its body. */
export const resolve: Script = script(
  time,
  unpacked,
  save,
  answer,
  questions,
  abandon,
  release,
  complete,
  `
local r = unpacked(redis.call('HGET', KEYS[1], 'g'))
if not r then return answer('fenced', r) end
if r.attemptId == ARGV[2] then return answer('already', r) end
if r.attemptId ~= ARGV[1] then return answer('fenced', r) end
if ARGV[3] == 'cancelled' then
  if r.state == released and r.resolved then return answer('already', r) end
  if r.state ~= running then return answer('fenced', r) end
elseif not unsettled(r) then
  return answer('fenced', r)
end
if ARGV[3] == 'cancelled' then
  r.resolved, r.bodyLength, r.dropped = true, 0, false
  if mayRunAgain(r) and r.onAbandoned ~= 2 then
    release(r, 0, '')
  else
    abandon(r)
    r.attemptId, r.headed = ARGV[2], false
  end
  save(r, true)
  return answer('recorded', r)
end
r.attemptId, r.resolved, r.bodyLength, r.dropped = ARGV[2], true, 0, false
if ARGV[3] then
  complete(r, tonumber(ARGV[3]), ARGV[4], '', #ARGV[5])
  save(r, true, ARGV[5])
else
  release(r, 0, '')
  save(r, true)
end
return answer('recorded', r)
`,
)

/** T4, T10, T11 and T13. ARGV: skewMs. Answers what was done; kept also where there is nothing. */
export const sweep: Script = script(
  time,
  unpacked,
  save,
  questions,
  expire,
  abandon,
  release,
  `
local r = unpacked(redis.call('HGET', KEYS[1], 'g'))
if not r then return 'kept' end
if r.state == running then
  if not leaseOver(r, ARGV[1]) then return 'kept' end
  if not mayRunAgain(r) then
    abandon(r)
    save(r)
    return 'abandoned'
  end
  if now <= r.leaseUntil + r.retentionMs then return 'kept' end
  release(r, 0, '')
  save(r, true)
  return 'released'
end
if lastExpiryPassed(r) then
  remove()
  return 'purged'
end
if not expire(r) then return 'kept' end
save(r, true)
return 'expired'
`,
)

/** T11 before its time. ARGV: expected. The mirror of the reducer's `purge`. */
export const purge: Script = script(
  time,
  unpacked,
  save,
  `
local r = unpacked(redis.call('HGET', KEYS[1], 'g'))
if not r then return 'absent' end
if r.state == running or r.attemptId ~= ARGV[1] then return 'refused' end
remove()
return 'purged'
`,
)

/** The record and the store's time. */
export const look: Script = script(
  time,
  `local g, h = unpack(redis.call('HMGET', KEYS[1], 'g', 'h')) return { 'look', now, g, h }`,
)

/** The steps, name after value. */
export const steps: Script = script(
  time,
  unpacked,
  `
local r = unpacked(redis.call('HGET', KEYS[1], 'g'))
local found = {}
if not r or not r.steps then return found end
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if string.sub(all[at], 1, 2) == 's:' then
    found[#found + 1] = string.sub(all[at], 3)
    found[#found + 1] = all[at + 1]
  end
end
return found
`,
)

/** At most 1 MiB of the body of one attempt. ARGV: attemptId, offset. */
export const body: Script = script(
  time,
  unpacked,
  `
local r = unpacked(redis.call('HGET', KEYS[1], 'g'))
local offset = tonumber(ARGV[2])
if not r or r.attemptId ~= ARGV[1] or offset >= r.bodyLength then return '' end
local last = math.min(r.bodyLength, offset + 1048576)
if r.inline then return string.sub(redis.call('HGET', KEYS[1], 'b'), offset + 1, last) end
-- A body that somebody took bytes from must not be read as if it were whole.
if redis.call('STRLEN', KEYS[2]) ~= r.bodyLength then error('${unreadableMark}') end
return redis.call('GETRANGE', KEYS[2], offset, last - 1)
`,
)
