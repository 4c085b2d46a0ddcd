/** Reads the configuration file: YAML or JSON, every unknown key an error that names it. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { fileKey, gatewayOptions } from './options.ts'
import { UsageError } from './usage.ts'

/** A file as it was written; values are parsed by their option's kind. */
export interface ConfigFile {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
  readonly routes: readonly Readonly<Record<string, unknown>>[]
}

/** Throws UsageError for a file that cannot be read or has a key that nobody knows. */
export function readConfigFile(path: string): ConfigFile {
  let written: unknown
  try {
    // YAML 1.2 contains JSON.
    written = parse(readFileSync(path, 'utf8'))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const [reason = ''] = (error as Error).message.split('\n')
    throw new UsageError(
      code?.startsWith('E')
        ? `The configuration file ${path} cannot be read (${code}).`
        : `The configuration file ${path} is neither YAML nor JSON: ${reason}`,
    )
  }
  const { routes = [], ...values } = object(written ?? {}, path)
  refuseUnknown(values, topKeys, path)
  if (!Array.isArray(routes)) throw new UsageError(`routes in ${path} must be a list.`)
  const rules = routes.map((rule, index) => {
    const place = `routes[${index}] in ${path}`
    const route = object(rule, place)
    refuseUnknown(route, routeKeys, place)
    const { path: pattern } = route
    if (typeof pattern !== 'string' || !/^[/*]/.test(pattern))
      throw new UsageError(`${place} needs a path such as '/v1/*'.`)
    return route
  })
  return { path, values, routes: rules }
}

const topKeys: readonly string[] = [
  ...gatewayOptions.filter(({ flag }) => flag !== 'config').map(({ flag }) => fileKey(flag)),
  'prices',
  'routes',
]
const routeKeys: readonly string[] = [
  'path',
  'methods',
  'upstream',
  ...gatewayOptions.filter(({ perRoute }) => perRoute).map(({ flag }) => fileKey(flag)),
]

function object(value: unknown, place: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw new UsageError(`${place} must hold keys and values.`)
}

function refuseUnknown(values: Readonly<Record<string, unknown>>, known: readonly string[], place: string): void {
  const unknown = Object.keys(values).find((key) => !known.includes(key))
  if (unknown !== undefined)
    throw new UsageError(`${place} has the unknown key "${unknown}". Known keys: ${known.join(', ')}.`)
}
