/** The schema of the configuration file, made from the table of options: parsing, and what editors are told. */
import { z } from 'zod'
import { schemaOf } from './kinds.ts'
import { keysAndValues } from './mistakes.ts'
import { fileKey, type OptionSpec } from './option.ts'
import { gatewayOptions } from './options.ts'

/** A rule of the file: what it matches, and what it says of the options that may differ by route. */
export interface WrittenRoute {
  readonly path: string
  readonly methods?: readonly string[]
  readonly upstream?: string
  /** By file key, parsed; absent where the rule says nothing. */
  readonly [option: string]: unknown
}

/** A file, parsed: options by file key, and its routes. */
export interface WrittenFile {
  readonly routes?: readonly WrittenRoute[]
  readonly [option: string]: unknown
}

const holds = 'must hold keys and values'
const wantedPath = "must be a path such as '/v1/*'"

/** A route's own keys; the others are options. */
const matched = {
  path: z.string({ error: wantedPath }).regex(/^[/*]/, { error: wantedPath }).meta({
    description: 'the path without query and without the upstream’s name; * matches any rest, slashes included',
  }),
  methods: named('methods').optional().meta({ description: 'the rule is for these methods only, and covers them' }),
  upstream: z
    .string({ error: 'must be the name of an upstream' })
    .optional()
    .meta({ description: 'the rule is for the upstream of this name only' }),
}

const route = keysAndValues({ ...matched, ...shapeOf(routeOptions()) }, holds)

/** The whole file. */
export const fileSchema: z.ZodType<WrittenFile> = keysAndValues(
  {
    $schema: z.string().optional().meta({ description: 'where an editor finds this schema' }),
    // A file cannot name another file.
    ...shapeOf(gatewayOptions.filter(({ flag }) => flag !== 'config')),
    routes: z.array(route, { error: 'must be a list' }).optional().meta({
      description: 'first match wins; what a rule does not say comes from the preset, then from the top level',
    }),
  },
  holds,
) as z.ZodType<WrittenFile>

/** The JSON Schema that editors read: draft-07, for that is what editors' servers of YAML and JSON know best. */
export function jsonSchema(): object {
  const { properties, ...schema } = z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7' })
  // zod leaves out the defaults of what it transforms. A route has none of its own: there the top level's hold.
  const withDefault = (name: string, property: object): object => {
    const spec = gatewayOptions.find(({ flag }) => fileKey(flag) === name)
    return spec === undefined || spec.default === '' ? property : { ...property, default: defaultOf(spec) }
  }
  return {
    title: 'Configuration of oncekey gateway',
    ...schema,
    properties: Object.fromEntries(
      Object.entries(properties ?? {}).map(([name, property]) => [name, withDefault(name, Object(property))]),
    ),
  }
}

/** Some words make sense in a route only. */
function routeOptions(): readonly OptionSpec[] {
  const options = gatewayOptions.filter(({ perRoute }) => perRoute)
  return options.map((spec) =>
    spec.words === undefined ? spec : { ...spec, words: [...spec.words, ...(spec.routeWords ?? [])] },
  )
}

function shapeOf(specs: readonly OptionSpec[]): Readonly<Record<string, z.ZodType>> {
  return Object.fromEntries(
    specs.map((spec) => [fileKey(spec.flag), schemaOf(spec).optional().meta({ description: spec.help })]),
  )
}

/** As a file would write it. */
function defaultOf({ kind, default: written }: OptionSpec): unknown {
  if (kind === 'list') return written.split(',')
  return kind === 'boolean' || kind === 'integer' ? JSON.parse(written) : written
}

function named(flag: string): z.ZodType {
  const spec = gatewayOptions.find((one) => one.flag === flag)
  if (spec === undefined) throw new Error(`there is no option ${flag}`)
  return schemaOf(spec)
}
