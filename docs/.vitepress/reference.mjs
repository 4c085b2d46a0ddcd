// Makes docs/generated/typedoc from the library's declarations: one page a public subpath, with every docstring. TypeDoc reads with
// a TypeScript 6 of its own, which checks in another order than the 7 that builds and finds fault with our sources.
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Application } from 'typedoc'
import { subpaths } from '../../scripts/api-report.mjs'

/** Where the pages go; git does not see it. */
const folder = fileURLToPath(new URL('../generated/typedoc', import.meta.url))

const options = {
  plugin: ['typedoc-plugin-markdown'],
  tsconfig: fileURLToPath(new URL('../tsconfig.json', import.meta.url)),
  name: 'oncekey',
  readme: 'none',
  // The default is to empty and fill ./docs.
  outputs: [{ name: 'markdown', path: folder }],
  cleanOutputDir: false,
  outputFileStrategy: 'modules',
  disableSources: true,
  excludePrivate: true,
  hideBreadcrumbs: true,
  hidePageHeader: true,
  useCodeBlocks: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  githubPages: false,
  logLevel: 'Warn',
  treatWarningsAsErrors: true,
}

/** Writes the pages; throws when TypeDoc has anything to complain about. */
export async function writeReference() {
  const doors = subpaths()
  const app = await Application.bootstrapWithPlugins({ ...options, entryPoints: doors.map(({ types }) => types) })
  const project = await app.convert()
  if (project === undefined) throw new Error('TypeDoc cannot read the declarations: run npm run build.')
  for (const module of project.children ?? []) module.name = nameOf(module.name, doors)
  rmSync(folder, { recursive: true, force: true })
  await app.generateOutputs(project)
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error('TypeDoc has complaints, above.')
}

/** TypeDoc calls a module by its file; users by its subpath. */
function nameOf(file, doors) {
  const door = doors.find(({ types }) =>
    [`/dist/${file}.d.ts`, `/dist/${file}/index.d.ts`].some((end) => types.endsWith(end)),
  )
  if (door === undefined) throw new Error(`TypeDoc has a module ${file} that is no subpath of the library.`)
  return door.name
}
