/** The claim, which nearly every request is: one call, one record. */
import { inlineBodyBytes } from '../../core/store.ts'
import { answer, save, time, unpacked } from './prelude.lua.ts'
import { type Script, script } from './script.ts'
import { abandon, expire, questions } from './transitions.lua.ts'

/**
 * T1, T2, T3, T9, T12; performs T4, T10 and T12 before it judges. ARGV: attemptId, fingerprint, rawFingerprint,
 * onAbandoned, leaseMs, skewMs, retentionMs, tombstoneMs, fence floor. The answer to `held` has the body where S5 wants it.
 */
export const claim: Script = script(
  time,
  `
local attemptId, fingerprint, rawFingerprint = ARGV[1], ARGV[2], ARGV[3]
local g, h, b = unpack(redis.call('HMGET', KEYS[1], 'g', 'h', 'b'))

-- A replay, which is most of what a busy store is asked: a completed record of the very same request, in its time and
-- with its body inside, is answered by a look at four fields of it (7 µs of the server, not 9).
if b and h and string.byte(g) == 1 and string.byte(g, 2) == completed and now < struct.unpack('>d', g, 57) then
  local _, same = struct.unpack('>Bc0Bc0', g, 97)
  if same == fingerprint then return { 'held', now, g, h, b } end
end
`,
  unpacked,
  save,
  answer,
  questions,
  expire,
  abandon,
  `
local function grant(former, by)
  local same = (by == 'takeover' or by == 'retry') and former or nil
  local r = {
    state = running, attemptId = attemptId,
    fence = math.max((former and former.fence or 0) + 1, ARGV[9] + 1, nowUs),
    attempt = (same and same.attempt or 0) + 1,
    leaseUntil = now + ARGV[5], onAbandoned = ARGV[4],
    recovering = by == 'takeover' and former.onAbandoned == 2,
    fingerprint = fingerprint, rawFingerprint = rawFingerprint,
    bodyLength = 0, outcome = 0, outcomeDigest = '', retryAt = 0,
    createdAt = same and same.createdAt or now,
    settledAt = 0, outcomeExpiresAt = 0, tombstoneExpiresAt = 0,
    retentionMs = ARGV[7], tombstoneMs = ARGV[8],
    steps = same and same.steps, hadSteps = same and same.steps,
  }
  -- With the former record go its head, its body and its time to live, and its steps where the next attempt is no heir.
  if former and not r.steps then remove() end
  if r.steps then
    redis.call('HDEL', KEYS[1], 'h', 'b')
    redis.call('UNLINK', KEYS[2])
    redis.call('PERSIST', KEYS[1])
  end
  save(r)
  return answer(by, r)
end

local function held(r)
  local said = answer('held', r)
  if r.state == completed and r.bodyLength <= ${inlineBodyBytes} then
    local body = r.bodyLength == 0 and '' or r.inline and b or redis.call('GET', KEYS[2])
    if body and #body == r.bodyLength then said[4], said[5] = said[4] or false, body end
  end
  return said
end

local r = unpacked(g)
if not r then return grant(nil, 'claim') end
if r.attemptId ~= attemptId and lastExpiryPassed(r) then return grant(r, 'claim_over') end
local aged = expire(r)
if r.state ~= expired and r.fingerprint ~= fingerprint
  and (rawFingerprint == '' or r.rawFingerprint ~= rawFingerprint) then return answer('mismatch', r) end
if r.attemptId == attemptId and r.state == running then return answer('yours', r) end
if r.attemptId ~= attemptId and r.state == running and leaseOver(r, ARGV[6]) then
  if mayRunAgain(r) then return grant(r, 'takeover') end
  abandon(r)
  save(r)
  return held(r)
end
if r.attemptId ~= attemptId and r.state == released and now >= r.retryAt then return grant(r, 'retry') end
if aged then save(r, true) end
return held(r)
`,
)
