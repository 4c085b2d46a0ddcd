/** Upstreams as they are written: a URL, NAME=URL for several, or a map of names. */
import { z } from 'zod'
import { keysAndValues } from './mistakes.ts'
import { type PresetName, presetNames } from './presets/index.ts'
import { nameAndUrl, namedSource, nameSource, urlSource, urlText } from './upstream-url.ts'

/** One API behind the gateway; the one without a name has the name ''. */
export interface NamedUpstream {
  readonly name: string
  readonly url: URL
  /** As it was written; undefined: by the URL's host. */
  readonly preset: PresetName | 'none' | undefined
}

const wanted = 'must be a URL, a list of NAME=URL, or a map of names and URLs'
const letters = 'letters, digits, ".", "_" and "-"'

const url = urlText(`^\\s*${urlSource}\\s*$`)
const preset = z.enum([...presetNames, 'none'], { error: `must be one of ${presetNames.join(', ')}, none` }).optional()

const holds = 'must hold url, and preset if its host does not tell'
const target = z.union([url, keysAndValues({ url, preset }, holds)], { error: 'must be a URL, or url and preset' })
const item = z.union(
  [
    urlText(`^\\s*${namedSource}\\s*$`),
    keysAndValues({ name: nameText(() => `must be a name of ${letters}`).optional(), url, preset }, holds),
  ],
  { error: 'must be a URL, NAME=URL, or name, url and preset' },
)

function nameText(error: (issue: { readonly input?: unknown }) => string): z.ZodString {
  return z.string({ error }).regex(new RegExp(`^${nameSource}$`), { error })
}

function misnamed({ input }: { readonly input?: unknown }): string {
  return `has an upstream named "${input}". A name has ${letters} only.`
}

/** One, a list, or a map of upstreams, in that order. */
export const upstreams: z.ZodType<readonly NamedUpstream[]> = z
  .union(
    [
      urlText(`^\\s*${namedSource}(?:\\s*,\\s*${namedSource})*\\s*$`),
      z.array(item, { error: wanted }),
      z.record(nameText(misnamed), target, { error: wanted }),
    ],
    { error: wanted },
  )
  .transform((written, context) => {
    const found = named(written)
    const names = new Set<string>()
    for (const { name } of found) {
      const twice = name === '' ? 'two upstreams without a name' : `"${name}" twice`
      if (names.has(name))
        context.addIssue({ code: 'custom', message: `names ${twice}. Write NAME=URL, each name once.` })
      names.add(name)
    }
    return found
  })

type Target = z.output<typeof target>
type Item = z.output<typeof item>

function named(written: string | readonly Item[] | Readonly<Record<string, Target>>): NamedUpstream[] {
  if (typeof written === 'string') return named(written.split(','))
  if (!Array.isArray(written)) {
    return Object.entries(written).map(([name, value]) =>
      typeof value === 'string' ? upstream(name, value) : upstream(name, value.url, value.preset),
    )
  }
  return written.map((value: Item) => {
    if (typeof value !== 'string') return upstream(value.name ?? '', value.url, value.preset)
    const [, name, rest] = nameAndUrl.exec(value.trim()) ?? []
    return name === undefined || rest === undefined ? upstream('', value) : upstream(name, rest)
  })
}

function upstream(name: string, written: string, preset?: NamedUpstream['preset']): NamedUpstream {
  return { name, url: new URL(written.trim()), preset }
}
