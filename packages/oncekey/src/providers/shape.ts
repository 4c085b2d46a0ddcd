/** Which members of an event or an answer are looked at: those that tell events apart, and those that tell what was used. */
import type { JsonShape } from './peek.ts'
import type { EventMembers } from './provider.ts'
import { usageMembers } from './usage.ts'

const report = (name: keyof EventMembers): JsonShape => ({ report: name })
const candidate: JsonShape = { members: new Map([['finishReason', report('finishReason')]]) }

function eventShapeOf(withModel: boolean): JsonShape {
  const usage = usageMembers(withModel)
  return {
    members: new Map<string, JsonShape>([
      ...usage,
      ['type', report('type')],
      ['object', report('object')],
      ['error', report('error')],
      ['message', { ...report('message'), ...usage.get('message') }],
      ['response', { ...report('response'), ...usage.get('response') }],
      ['usageMetadata', { ...report('usageMetadata'), ...usage.get('usageMetadata') }],
      ['candidates', { report: 'candidates', items: candidate }],
      ['promptFeedback', { members: new Map([['blockReason', report('blockReason')]]) }],
    ]),
  }
}

/** All that tells the events of all providers apart, and what was used. */
export const eventShape: JsonShape = eventShapeOf(false)

/** The same while nobody has named the model yet: most providers repeat it in every event. */
export const firstEventShape: JsonShape = eventShapeOf(true)

/** What a JSON answer that is no stream says of its use. */
export const answerShape: JsonShape = { members: usageMembers(true) }
