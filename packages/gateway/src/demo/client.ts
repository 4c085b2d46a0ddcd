/** The client: the OpenAI SDK as it is installed, with the retries that it makes by itself. */
import type OpenAI from 'openai'
import { question } from './question.ts'

/** One call by the SDK. */
export interface Call {
  /** Where the client's base URL points. */
  readonly to: { readonly url: string }
  readonly ask: string
  readonly key: string
  /** Names the call in the provider's ledger. */
  readonly marker: string
  /** How the pretend provider behaves. */
  readonly sandbox: string
}

/** What the code that called the SDK got. */
export interface Reply {
  readonly text: string
  /** `Idempotency-Status`; null where no gateway was asked. */
  readonly how: string | null
}

/** An API error that the SDK threw. */
export interface Refusal {
  readonly status: number
  readonly code: string
}

/** The SDK, loaded only when the demo runs. */
export class Client {
  readonly #sdk: typeof OpenAI

  private constructor(sdk: typeof OpenAI) {
    this.#sdk = sdk
  }

  static async load(): Promise<Client> {
    return new Client((await import('openai')).default)
  }

  async ask(call: Call): Promise<Reply> {
    const { data, response } = await this.#openai(call)
      .chat.completions.create(question(call.ask, {}), { headers: headersOf(call) })
      .withResponse()
      .catch(unanswered)
    return { text: data.choices[0]?.message.content ?? '', how: response.headers.get('idempotency-status') }
  }

  /** `heard` gets the text so far, each time there is more. */
  async stream(call: Call, heard: (reply: Reply) => void): Promise<Reply> {
    const { data, response } = await this.#openai(call)
      .chat.completions.create(question(call.ask, { stream: true as const, stream_options: { include_usage: true } }), {
        headers: headersOf(call),
      })
      .withResponse()
      .catch(unanswered)
    const how = response.headers.get('idempotency-status')
    let text = ''
    for await (const chunk of data) {
      text += chunk.choices[0]?.delta.content ?? ''
      heard({ text, how })
    }
    return { text, how }
  }

  /** For a call that should be refused: the error that the SDK throws. Rejects with any other. */
  async refusal(call: Call): Promise<Refusal | undefined> {
    try {
      await this.ask(call)
      return undefined
    } catch (error) {
      const cause: unknown = error instanceof Error ? error.cause : undefined
      if (!(cause instanceof this.#sdk.APIError) || cause.status === undefined) throw error
      return { status: cause.status, code: String(cause.code) }
    }
  }

  #openai({ to }: Call): OpenAI {
    // All that the SDK would take from the user's environment is set: no real key, no other host.
    return new this.#sdk({
      baseURL: `${to.url}/v1`,
      apiKey: 'sk-pretend',
      organization: null,
      project: null,
      logLevel: 'off',
    })
  }
}

/** The SDK's own message, "Connection error.", does not say whose connection. */
function unanswered(error: unknown): never {
  const reason = error instanceof Error ? error.message : String(error)
  throw new Error(`The client of the demo got no answer: ${reason}`, { cause: error })
}

function headersOf({ key, marker, sandbox }: Call): Record<string, string> {
  return { 'Idempotency-Key': key, 'x-sandbox': sandbox, 'x-sandbox-marker': marker }
}
