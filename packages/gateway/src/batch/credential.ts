/** The credential of a batch: from the variable in which it usually is, into the header in which it is expected. */
import { UsageError } from '../config/index.ts'
import type { Dialect } from './request.ts'

/** A provider's usual variable, and the header that it wants. */
interface Usual {
  readonly variable: string
  readonly header: 'authorization' | 'x-api-key' | 'api-key'
}

const bearer = (variable: string): Usual => ({ variable, header: 'authorization' })

/** By the end of the host's name; what is not here goes by the format of the lines. Names as in each provider's SDK. */
const byHost: readonly (readonly [string, Usual])[] = [
  ['openai.com', bearer('OPENAI_API_KEY')],
  ['openai.azure.com', { variable: 'AZURE_OPENAI_API_KEY', header: 'api-key' }],
  ['anthropic.com', { variable: 'ANTHROPIC_API_KEY', header: 'x-api-key' }],
  ['googleapis.com', bearer('GEMINI_API_KEY')],
  ['mistral.ai', bearer('MISTRAL_API_KEY')],
  ['openrouter.ai', bearer('OPENROUTER_API_KEY')],
  ['groq.com', bearer('GROQ_API_KEY')],
  ['deepseek.com', bearer('DEEPSEEK_API_KEY')],
]

const byDialect: Readonly<Record<Dialect, Usual>> = {
  openai: bearer('OPENAI_API_KEY'),
  anthropic: { variable: 'ANTHROPIC_API_KEY', header: 'x-api-key' },
}

/** The only version there is; what lines may hold beyond it is asked for by `anthropic-beta`. */
const anthropicVersion = '2023-06-01'

/** Where a credential is looked for. */
export interface CredentialOptions {
  readonly dialect: Dialect
  /** Undefined where it is not known which provider is behind it. */
  readonly upstream: URL | undefined
  /** In place of the usual variable. */
  readonly variable: string | undefined
  /** A model server of one's own wants none. */
  readonly anonymous: boolean
}

/** The headers of every request of a batch. Throws UsageError when the variable is not set. */
export function batchHeaders(options: CredentialOptions, env: NodeJS.ProcessEnv): string[] {
  const { dialect, upstream, anonymous } = options
  const version = dialect === 'anthropic' ? ['anthropic-version', anthropicVersion] : []
  const common = ['Content-Type', 'application/json', 'User-Agent', 'oncekey-batch', ...version]
  const host = upstream?.hostname ?? ''
  const usual = byHost.find(([name]) => host === name || host.endsWith(`.${name}`))?.[1] ?? byDialect[dialect]
  const variable = options.variable ?? usual.variable
  // The pretend provider takes anything, and the tenant has to be somebody.
  const value = env[variable]?.trim() || (upstream?.protocol === 'sandbox:' ? 'sandbox' : undefined)
  if (value === undefined) {
    if (anonymous) return common
    const sentence = `The variable ${variable} is not set, so there is no credential for the batch. Set it, or name another by --credential-env.`
    throw new UsageError(`${sentence} For a server that wants none add --dangerously-allow-anonymous.`)
  }
  if (!/^[\x21-\x7e]+$/.test(value)) throw new UsageError(`The variable ${variable} holds what no header can hold.`)
  const project = usual.variable === 'OPENAI_API_KEY' ? openaiAccount(env) : []
  return [...common, usual.header, usual.header === 'authorization' ? `Bearer ${value}` : value, ...project]
}

/** Whose bill it is, by the variables of OpenAI's SDK. */
function openaiAccount(env: NodeJS.ProcessEnv): string[] {
  const { OPENAI_ORG_ID: organization, OPENAI_PROJECT_ID: project } = env
  return [
    ...(organization ? ['OpenAI-Organization', organization] : []),
    ...(project ? ['OpenAI-Project', project] : []),
  ]
}
