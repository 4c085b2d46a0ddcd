// Reads the compiler's declaration files: which names a subpath exports, where each is declared, and its docstring.
// The compiler prints every statement from the first column on, so that lines tell where one ends and the next begins.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** One statement of a declaration file: its text without comments, the comment before it, the name it declares. */
function statementsOf(text) {
  const statements = []
  let doc = ''
  let current
  let inDoc = false
  for (const line of text.split('\n')) {
    if (inDoc || /^\/\*\*/.test(line)) {
      doc = inDoc ? `${doc}\n${line}` : line
      inDoc = !/\*\/\s*$/.test(line)
    } else if (/^(?:export|import|declare|interface|type|class|function|const)\b/.test(line)) {
      current = { doc, lines: [line] }
      statements.push(current)
      doc = ''
    } else if (current !== undefined && line !== '' && !line.startsWith('//')) current.lines.push(line)
  }
  return statements.map(({ doc: before, lines }) => {
    const whole = lines.join('\n')
    const name =
      /^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|class|function|const|let|var) ([\w$]+)/.exec(
        whole,
      )?.[1]
    return { name, doc: before, text: withoutComments(whole) }
  })
}

/** The text without docstrings of members; no type of ours holds the marks of a comment in a string. */
function withoutComments(text) {
  return text
    .replace(/^\s*\/\*\*[\s\S]*?\*\/\n/gm, '')
    .replace(/[ \t]+$/gm, '')
    .replace(/\n{2,}/g, '\n')
}

const files = new Map()

/** A declaration file, read once. `names`: what it declares; `from`: what it imports or passes on, by local name. */
function fileAt(path) {
  const known = files.get(path)
  if (known !== undefined) return known
  const statements = statementsOf(readFileSync(path, 'utf8'))
  const file = { path, declared: new Map(), from: new Map(), exported: new Map(), all: [] }
  files.set(path, file)
  for (const { name, doc, text } of statements) {
    if (name !== undefined) {
      // Overloads are several statements of one name.
      const before = file.declared.get(name)
      file.declared.set(name, {
        doc: before?.doc || doc,
        text: before === undefined ? text : `${before.text}\n${text}`,
      })
      if (/^export /.test(text)) file.exported.set(name, { path, name })
      continue
    }
    const [, verb, list, place] = /^(export|import)(?: type)? \{([\s\S]*?)\}(?: from '(.+?)')?;?$/.exec(text) ?? []
    const star = /^export (?:type )?\*(?: as ([\w$]+))? from '(.+?)';?$/.exec(text)
    if (star !== null) file.all.push({ as: star[1], path: pathOf(path, star[2]) })
    for (const one of list?.split(',') ?? []) {
      const [, own, as = own] = /^\s*(?:type )?([\w$]+)(?: as ([\w$]+))?\s*$/.exec(one) ?? []
      if (own === undefined) continue
      const target = place === undefined ? { path, name: own } : { path: pathOf(path, place), name: own }
      if (verb === 'import') file.from.set(as, target)
      else file.exported.set(as, target)
    }
  }
  return file
}

/** Undefined for what is not ours: a package, `node:`. */
function pathOf(from, place) {
  if (!place.startsWith('.')) return undefined
  const path = resolve(dirname(from), place.replace(/\.[jt]s$/, '.d.ts'))
  if (!existsSync(path)) throw new Error(`${from} names ${place}, which is not built: run npm run build`)
  return path
}

/** Follows re-exports to the file that declares; undefined for a type of another package. */
function declarationOf({ path, name }) {
  if (path === undefined) return undefined
  const file = fileAt(path)
  const declared = file.declared.get(name)
  if (declared !== undefined) return { path, name, ...declared }
  // What is exported under its own name from here was imported first.
  const next = file.from.get(name) ?? file.exported.get(name)
  if (next !== undefined && !(next.path === path && next.name === name)) return declarationOf(next)
  for (const { as, path: other } of file.all) {
    if (as !== undefined) continue
    const found = exportsOf(other).get(name)
    if (found !== undefined) return found
  }
  return undefined
}

/** What a module exports: name → declaration. A namespace (`export * as`) has one entry for each of its own, with a dot. */
export function exportsOf(path) {
  const { exported, all } = fileAt(path)
  const found = new Map()
  for (const [name, target] of exported) found.set(name, declarationOf(target))
  for (const { as, path: other } of all) {
    for (const [name, declaration] of exportsOf(other))
      found.set(as === undefined ? name : `${as}.${name}`, declaration)
  }
  return found
}

/** The declarations of ours that these need and that are not among them, in the order they are met. */
export function neededBy(declarations) {
  const seen = new Set(declarations.map(keyOf))
  const needed = []
  const queue = [...declarations]
  for (let at = 0; at < queue.length; at++) {
    const { path, text, name: own } = queue[at]
    const file = fileAt(path)
    for (const name of new Set(text.match(/[A-Za-z_$][\w$]*/g))) {
      if (name === own || !(file.declared.has(name) || file.from.has(name))) continue
      const next = declarationOf(file.declared.has(name) ? { path, name } : file.from.get(name))
      if (next === undefined || seen.has(keyOf(next))) continue
      seen.add(keyOf(next))
      needed.push(next)
      queue.push(next)
    }
  }
  return needed
}

function keyOf({ path, name }) {
  return `${path} ${name}`
}
