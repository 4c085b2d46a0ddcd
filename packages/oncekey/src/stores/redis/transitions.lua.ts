/** The transitions that several scripts share, as `core/reducer.ts` has them. Each changes the record it is given. */

/** `leaseOver`, `mayRunAgain`, `unsettled` and `lastExpiryPassed`. */
export const questions = `
local function leaseOver(r, skewMs)
  return now > r.leaseUntil + skewMs
end

local function mayRunAgain(r)
  return r.onAbandoned ~= 0 or not r.dispatched
end

local function unsettled(r)
  return r.state == running or r.state == unknown
end

local function lastExpiryPassed(r)
  return r.state ~= running and now >= math.max(r.outcomeExpiresAt, r.tombstoneExpiresAt)
end
`

/** T10. Answers whether it changed anything; then the body is to be dropped. */
export const expire = `
local function expire(r)
  if (r.state ~= completed and r.state ~= unknown) or now < r.outcomeExpiresAt then return false end
  r.state, r.headed, r.bodyLength, r.steps = expired, false, 0, false
  return true
end
`

/** T4, and the expiries that it shares with `complete`. */
export const abandon = `
local function expiries(r)
  r.settledAt, r.outcomeExpiresAt = now, now + r.retentionMs
  r.tombstoneExpiresAt = r.outcomeExpiresAt + r.tombstoneMs
end

local function abandon(r)
  r.state = unknown
  expiries(r)
end
`

/** T6 and T13: the key may run again. */
export const release = `
local function release(r, retryAfterMs, digest)
  r.state, r.headed, r.bodyLength, r.dropped, r.outcomeDigest = released, false, 0, false, digest
  r.retryAt = retryAfterMs > 0 and now + retryAfterMs or 0
  r.settledAt, r.outcomeExpiresAt = now, 0
  r.tombstoneExpiresAt = now + math.max(r.retentionMs, retryAfterMs)
end
`

/** T6: an outcome is recorded. Needs \`abandon\` for the expiries. */
export const complete = `
local function complete(r, outcome, head, digest, bodyLength)
  r.state, r.headed, r.head, r.bodyLength = completed, true, head, bodyLength
  r.outcome, r.outcomeDigest, r.steps = outcome, digest, false
  expiries(r)
end
`
