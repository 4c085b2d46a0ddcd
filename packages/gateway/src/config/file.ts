/** Reads the configuration file: YAML or JSON, every mistake one sentence with its place. */
import { readFileSync } from 'node:fs'
import { parseDocument } from 'yaml'
import { checked, placeIn } from './mistakes.ts'
import { fileSchema, type WrittenFile } from './schema.ts'
import { UsageError } from './usage.ts'

/** A configuration file. */
export interface ConfigFile {
  readonly path: string
  /** As the options want it: durations in ms, sizes in bytes. */
  readonly written: WrittenFile
  /** The routes as they stand there, for people. */
  readonly routesAsWritten: readonly Readonly<Record<string, unknown>>[]
}

/** Throws UsageError for a file that cannot be read, and for whatever its schema refuses. */
export function readConfigFile(path: string): ConfigFile {
  let text: unknown
  try {
    // YAML 1.2 contains JSON.
    const document = parseDocument(readFileSync(path, 'utf8'), { logLevel: 'silent' })
    // What it only warns of, such as a tag that nobody knows, is not what was meant either.
    for (const mistake of [...document.errors, ...document.warnings]) throw mistake
    text = document.toJS()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const [reason = ''] = (error as Error).message.split('\n')
    throw new UsageError(
      code?.startsWith('E')
        ? `The configuration file ${path} cannot be read (${code}).`
        : `The configuration file ${path} is neither YAML nor JSON: ${reason}`,
    )
  }
  const written = checked(fileSchema, text ?? {}, placeIn(path))
  const { routes = [] } = Object(text ?? {}) as { readonly routes?: ConfigFile['routesAsWritten'] }
  return { path, written, routesAsWritten: routes }
}
