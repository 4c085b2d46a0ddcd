/** Flag before variable before file before default: the value of every option, and where it was written. */
import { parseArgs } from 'node:util'
import { type ConfigFile, readConfigFile } from './file.ts'
import { schemaOf } from './kinds.ts'
import { checked, placeIn } from './mistakes.ts'
import { meant } from './nearest.ts'
import { fileKey, type OptionSpec, variable } from './option.ts'
import { gatewayOptions, type OptionValues } from './options.ts'
import { UsageError } from './usage.ts'

/** Every option's value, and the configuration file if there is one. */
export interface Settings {
  get<F extends keyof OptionValues>(flag: F): OptionValues[F]
  /** For a sentence: `--lease`, `ONCEKEY_LEASE` or `lease in FILE`. */
  origin(flag: keyof OptionValues): string
  readonly file: ConfigFile | undefined
}

/** Where one value comes from. */
interface Setting {
  readonly value: unknown
  readonly origin: string
}

/** The settings, or undefined when help was asked for. Throws UsageError. */
export function readSettings(args: readonly string[], env: NodeJS.ProcessEnv): Settings | undefined {
  const flags = readFlags(args)
  if (flags === undefined) return undefined
  const path = flags['config'] ?? env[variable('config')]
  const file = path === undefined || path === '' ? undefined : readConfigFile(String(path))
  return settingsFrom((spec) => written(spec, flags, env), file)
}

/** The settings of a file alone, as if nothing else had been said. */
export function settingsOf(file: ConfigFile): Settings {
  return settingsFrom(() => undefined, file)
}

function settingsFrom(given: (spec: OptionSpec) => Setting | undefined, file: ConfigFile | undefined): Settings {
  const settings = new Map<string, Setting>()
  for (const spec of gatewayOptions) settings.set(spec.flag, given(spec) ?? fromFile(spec, file) ?? byDefault(spec))
  return {
    get: <F extends keyof OptionValues>(flag: F) => settings.get(flag)?.value as OptionValues[F],
    origin: (flag) => settings.get(flag)?.origin ?? `--${flag}`,
    file,
  }
}

function readFlags(args: readonly string[]): Record<string, unknown> | undefined {
  const options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  }
  for (const spec of gatewayOptions) {
    if (!spec.fileOnly)
      options[spec.flag] = { type: spec.kind === 'boolean' ? 'boolean' : 'string', multiple: spec.kind === 'upstream' }
  }
  try {
    const { values: flags } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false })
    return flags['help'] === true ? undefined : flags
  } catch (error) {
    const [reason = ''] = (error as Error).message.split('. ')
    const [, unknown] = /^Unknown option '--([\w-]+)/.exec(reason) ?? []
    const guess = unknown === undefined ? '' : meant(unknown, Object.keys(options))
    const hint = guess.startsWith('did') ? `; ${guess.replace('"', '"--')}` : '.'
    throw new UsageError(`${reason.replace(/\.$/, '')}${hint} oncekey gateway --help lists the flags.`)
  }
}

function written(spec: OptionSpec, flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Setting | undefined {
  const name = variable(spec.flag)
  const given = flags[spec.flag]
  if (given !== undefined) return setting(spec, given, `--${spec.flag}`)
  const set = spec.fileOnly ? undefined : env[name]
  return set === undefined || set === '' ? undefined : setting(spec, set, name)
}

/** The file was parsed as a whole. */
function fromFile(spec: OptionSpec, file: ConfigFile | undefined): Setting | undefined {
  const key = fileKey(spec.flag)
  const value = file?.written[key]
  return file === undefined || value === undefined ? undefined : { value, origin: placeIn(file.path)([key]) }
}

function byDefault(spec: OptionSpec): Setting {
  const origin = `--${spec.flag}`
  return spec.default === '' ? { value: undefined, origin } : setting(spec, spec.default, origin)
}

function setting(spec: OptionSpec, value: unknown, origin: string): Setting {
  return { value: checked(schemaOf(spec), value, () => origin), origin }
}
