/** Steps on keys that hold one value: keyless lists, what is written once, the fence floor. */
import { time } from './prelude.lua.ts'
import { type Script, script } from './script.ts'

/** The time, and what one key holds: a keyless list. */
export const value: Script = script(time, `return { now, redis.call('GET', KEYS[1]) }`)

/**
 * Replaces a value if it is still what was read. ARGV: what was read, or empty; what it becomes, or empty; when it
 * expires. One that is already what it should become was made so by this very call, sent a second time by the driver.
 */
export const replace: Script = script(`
local held = redis.call('GET', KEYS[1]) or ''
if held ~= '' and held == ARGV[2] then return 1 end
if held ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
return 1
`)

/** S17. ARGV: the value if there is none yet. */
export const once: Script = script(`redis.call('SET', KEYS[1], ARGV[1], 'NX') return redis.call('GET', KEYS[1])`)

/**
 * Raises the fence floor to just below the store's time, or to ARGV[1], and answers it. Just below: what a claim gets in
 * this very µs is the time, as without a floor.
 */
export const floor: Script = script(
  time,
  `
local held = tonumber(redis.call('GET', KEYS[1]) or 0)
local raised = math.max(held, nowUs - 1, ARGV[1])
if raised > held then redis.call('SET', KEYS[1], string.format('%.0f', raised)) end
return string.format('%.0f', raised)
`,
)
