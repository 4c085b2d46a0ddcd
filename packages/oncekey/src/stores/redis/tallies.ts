/** Tallies in Redis: one hash, a field a name and writer, which only that writer replaces. */
import type { Tally, TallyPage } from '../../core/store.ts'
import { textOf } from './answers.ts'
import { literal } from './keys.ts'
import type { Runner } from './run.ts'
import { script } from './script.ts'
import type { Reply } from './wire.ts'

/** ARGV: field and value by turns; an empty value removes the field. */
const put = script(`
for at = 1, #ARGV, 2 do
  if ARGV[at + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[at])
  else redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
end
return 1
`)

/** ARGV: where to go on, and the pattern of the fields that are wanted. */
const page = script(`return redis.call('HSCAN', KEYS[1], ARGV[1], 'MATCH', ARGV[2], 'COUNT', 500)`)

/** Replaces or removes; one call of some hundred at a time, for Redis does nothing else meanwhile. */
export async function putTallies(runner: Runner, key: string, tallies: readonly Tally[]): Promise<void> {
  for (let at = 0; at < tallies.length; at += 200) {
    const args = tallies
      .slice(at, at + 200)
      .flatMap(({ name, writer, counts }) => [
        JSON.stringify([name, writer]),
        Object.keys(counts).length === 0 ? '' : JSON.stringify(counts),
      ])
    await runner.run(put, [{ key, args }], true)
  }
}

/** Names may hold any character, where the answers of other scripts are ASCII. */
function utf8(reply: Reply | undefined): string {
  return reply instanceof Uint8Array ? Buffer.from(reply).toString() : String(reply)
}

/**
 * A page by HSCAN: an entry that is written meanwhile may come twice, and then says the same or more. A prefix spares the way
 * of the others, not the look at them: a hash has no order, so Redis walks through all fields, 500 a page.
 */
export async function tallyPage(
  runner: Runner,
  key: string,
  cursor: string | undefined,
  prefix = '',
): Promise<TallyPage> {
  const begin = JSON.stringify([prefix]).slice(0, -2)
  const [reply] = await runner.run(page, [{ key, args: [cursor ?? '0', `${literal(begin)}*`] }])
  const [next, fields] = reply as readonly [Reply, readonly Reply[]]
  const tallies: Tally[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const [name, writer] = JSON.parse(utf8(fields[at])) as [string, string]
    tallies.push({ name, writer, counts: JSON.parse(utf8(fields[at + 1])) })
  }
  const more = textOf(next)
  return { tallies, cursor: more === '0' ? undefined : more }
}
