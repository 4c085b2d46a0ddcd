/** What a client's error looks like to its user, in the words of `Told`. */
import type { Told } from './sdk.ts'

/** Makes the call; the answer says what was heard until it failed, and how it failed. */
export async function tell(call: (told: Told) => Promise<void>): Promise<Told> {
  const told: Told = { text: '', how: null, replayed: null }
  try {
    await call(told)
  } catch (error) {
    const { name, message, status, statusCode } = error as Error & { status?: number; statusCode?: number }
    const code = status ?? statusCode
    told.error = { name, message, ...(code === undefined ? {} : { status: code }) }
  }
  return told
}
