/** What is asked: one long document, so that a call costs an amount that one can see. */

/** 5,000 tokens, by the pretend provider's four bytes a token. */
const bodyBytes = 20_000

const clause = 'The supplier delivers what was ordered, and the customer pays for it once. '

interface Message {
  readonly role: 'user'
  readonly content: string
}

/** A request as the SDK takes it. */
export interface Question {
  readonly model: string
  readonly messages: Message[]
}

/** A question about the document, cut so that each request is of the same length and price. */
export function question<Extra extends object>(ask: string, extra: Extra): Question & Extra {
  const about = (document: string): Question & Extra => ({
    model: 'pretend-1',
    messages: [{ role: 'user', content: `${ask}\n\n${document}` }],
    ...extra,
  })
  const room = bodyBytes - Buffer.byteLength(JSON.stringify(about('')))
  return about(clause.repeat(Math.ceil(room / clause.length)).slice(0, room))
}
