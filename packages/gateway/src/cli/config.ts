/** `oncekey config`: checks a configuration file and says what would hold, or writes one to begin with. */
import { existsSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { choice, configTemplate, loadConfigFile, presetNames, UsageError } from '../config/index.ts'
import { commandSpecs, type Flags, helpOf, readFlags } from './flags.ts'
import { print } from './operating.ts'
import { summaryOf, whatHolds } from './summary.ts'

const actions = { check, init } as const

/** Picks the action behind `config`. */
export async function runConfig(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [name = '', ...rest] = args
  if (name === '--help' || name === '-h') {
    print([commandSpecs.check, commandSpecs.init].map(helpOf).join('\n\n'))
    return 0
  }
  if (!Object.hasOwn(actions, name)) {
    const known = Object.keys(actions).join(', ')
    throw new UsageError(`oncekey config needs one of ${known}${name === '' ? '' : `, and "${name}" is none`}.`)
  }
  const action = name as keyof typeof actions
  const flags = readFlags(commandSpecs[action], rest, env)
  if (flags === undefined) print(helpOf(commandSpecs[action]))
  else actions[action](flags)
  return 0
}

function check({ operand, text }: Flags): void {
  if (operand === undefined)
    throw new UsageError('oncekey config check needs a file: oncekey config check oncekey.yaml')
  const config = loadConfigFile(operand)
  const request = text('route')
  print(request === undefined ? summaryOf(config) : whatHolds(config, request))
}

function init({ operand: file = 'oncekey.yaml', text }: Flags): void {
  const preset = choice(text('preset') ?? 'openai', '--preset', presetNames)
  if (file.endsWith('.json')) throw new UsageError(`The file is written in YAML, for its comments: not ${file}.`)
  try {
    writeFileSync(file, configTemplate(preset, schemaFor(file), basename(file)), { flag: 'wx' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw new UsageError(`${file} is there already and was left alone. Name another file.`)
    throw new UsageError(`${file} cannot be written (${code}). Name a file in a folder that is there.`)
  }
  print(`${file} is written. Look at its upstream, then: oncekey gateway --config ${file}`)
}

/** Where editors find the schema from a file: in the project's own modules, so that the file can be shared; else here. */
function schemaFor(file: string): string {
  const folder = dirname(resolve(file))
  for (let at = folder; ; at = dirname(at)) {
    const installed = join(at, 'node_modules/@oncekey/gateway/config.schema.json')
    if (existsSync(installed))
      return relative(folder, installed)
        .replaceAll('\\', '/')
        .replace(/^(?!\.)/, './')
    if (at === dirname(at)) return fileURLToPath(new URL('../../config.schema.json', import.meta.url))
  }
}
