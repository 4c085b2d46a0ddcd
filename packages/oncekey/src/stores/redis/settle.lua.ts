/** What an owner writes: progress, pieces of body, the end, and its lease. */
import { answer, save, time, unpacked } from './prelude.lua.ts'
import { type Script, script } from './script.ts'
import { abandon, complete, questions, release } from './transitions.lua.ts'

/** T5. ARGV: attemptId, leaseMs. Answers renewed, unknown, fenced or resolved. */
export const renew: Script = script(
  time,
  unpacked,
  save,
  `
local r = unpacked(redis.call('HGET', KEYS[1], 'g'))
if not r then return 'fenced' end
if r.attemptId == ARGV[1] and r.state == running then
  r.leaseUntil = now + ARGV[2]
  save(r)
  return 'renewed'
end
if r.attemptId == ARGV[1] and r.state == unknown then return 'unknown' end
return r.resolved and 'resolved' or 'fenced'
`,
)

/**
 * T6, T7 and progress. ARGV: attemptId and what: dispatched; head and the head; dropped; step with name, value; completed with outcome, head,
 * offset, bytes, digest; released with retryAfterMs, digest; unknown with digest.
 */
export const settle: Script = script(
  time,
  unpacked,
  save,
  answer,
  questions,
  abandon,
  release,
  complete,
  `
local function recorded(r, drop, write)
  save(r, drop, write)
  return answer('recorded', r)
end

local ending = { completed = completed, released = released, unknown = unknown }

local function finish(r, what, digest)
  if r.state == ending[what] and r.outcomeDigest == digest then return answer('already', r) end
  if not unsettled(r) then return answer('fenced', r) end
  if what == 'unknown' then
    abandon(r)
    r.outcomeDigest = digest
    return recorded(r)
  end
  if what == 'released' then
    release(r, tonumber(ARGV[3]), digest)
    return recorded(r, true)
  end
  local outcome, head, offset, bytes = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), ARGV[6]
  if outcome == 4 then
    complete(r, outcome, head, digest, 0)
    return recorded(r, true)
  end
  if r.dropped or offset ~= r.bodyLength then return answer('fenced', r) end
  complete(r, outcome, head, digest, offset + #bytes)
  return recorded(r, false, bytes)
end

local r = unpacked(redis.call('HGET', KEYS[1], 'g'))
local what = ARGV[2]
if not r or r.attemptId ~= ARGV[1] then return answer('fenced', r) end
if what == 'dispatched' then
  if r.state ~= running then return answer('fenced', r) end
  if r.dispatched then return answer('already', r) end
  r.dispatched = true
  return recorded(r)
end
if what == 'head' then
  if not unsettled(r) or r.dropped then return answer('fenced', r) end
  r.headed, r.head = true, ARGV[3]
  return recorded(r)
end
if what == 'dropped' then
  if not unsettled(r) then return answer('fenced', r) end
  r.dropped, r.bodyLength = true, 0
  return recorded(r, true)
end
if what == 'step' then
  if not unsettled(r) then return answer('fenced', r) end
  r.steps, r.hadSteps = true, true
  redis.call('HSET', KEYS[1], 's:' .. ARGV[3], ARGV[4])
  return recorded(r)
end
return finish(r, what, ARGV[#ARGV])
`,
)

/** ARGV: attemptId, offset, bytes. Answers appended, already or refused. */
export const append: Script = script(
  time,
  unpacked,
  save,
  questions,
  `
local r = unpacked(redis.call('HGET', KEYS[1], 'g'))
local offset, bytes = tonumber(ARGV[2]), ARGV[3]
if not r or r.attemptId ~= ARGV[1] or r.dropped then return 'refused' end
local endsAt = offset + #bytes
if endsAt <= r.bodyLength then
  local there = ''
  if #bytes > 0 then
    there = r.inline and string.sub(redis.call('HGET', KEYS[1], 'b'), offset + 1, endsAt) or redis.call('GETRANGE', KEYS[2], offset, endsAt - 1)
  end
  return there == bytes and 'already' or 'refused'
end
if not unsettled(r) or offset ~= r.bodyLength then return 'refused' end
r.bodyLength = endsAt
save(r, false, bytes)
return 'appended'
`,
)
