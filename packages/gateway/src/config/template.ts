/** The file that `oncekey config init` writes: what is needed, and every other option as a comment with its default. */
import { fileKey, type OptionSpec } from './option.ts'
import { gatewayOptions } from './options.ts'
import { type PresetName, presets, presetsFor } from './presets/index.ts'

/** As YAML. `schema` is where editors find the JSON Schema, `file` what the file will be called. */
export function configTemplate(preset: PresetName, schema: string, file: string): string {
  return [
    `# yaml-language-server: $schema=${schema}`,
    `# For: oncekey gateway --config ${file}`,
    `# Check it: oncekey config check ${file}`,
    '# Flags and variables beat what stands here; what is commented out is the default.',
    '',
    '# The API behind the gateway; for several: a map of names and URLs, and the path prefix /NAME/ picks one.',
    upstreamLines(preset),
    '',
    ...gatewayOptions.filter(({ flag }) => !['upstream', 'config'].includes(flag)).map(optionLines),
    '# What differs by route. The first match counts; what it does not say comes from the preset, then from above.',
    '# routes:',
    '#   - path: /v1/embeddings',
    '#     keyless: content',
    '#   - path: /v1/agents/*',
    '#     methods: [POST, DELETE]',
    '#     onAbandoned: unknown',
    "#     classify: { 404: not_executed, '5xx': indeterminate }",
    '',
  ].join('\n')
}

/** The preset is written down only where the host does not tell it. */
function upstreamLines(preset: PresetName): string {
  const { example } = presets[preset]
  const byHost = presetsFor({ url: new URL(example), preset: undefined }).names
  return byHost.includes(preset) ? `upstream: ${example}` : `upstream:\n  - url: ${example}\n    preset: ${preset}`
}

function optionLines(spec: OptionSpec): string {
  const { kind, words, default: written, placeholder } = spec
  const choices = words === undefined ? '' : ` (${words.join(', ')})`
  const value = written === '' ? (examples[kind] ?? placeholder) : written
  const quoted = /[:#]$|^[\d.]+$/.test(value) && kind !== 'integer' ? `'${value}'` : value
  return `# ${spec.help}${choices}\n# ${fileKey(spec.flag)}: ${kind === 'list' && written !== '' ? `[${quoted}]` : quoted}\n`
}

/** For options without a default. */
const examples: Readonly<Partial<Record<OptionSpec['kind'], string>>> = {
  integer: '100',
  size: '1gb',
  list: '[]',
  jsonPaths: '[]',
  classes: '{}',
  prices: '{}',
}
