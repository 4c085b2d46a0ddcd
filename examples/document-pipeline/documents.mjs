// Documents as text, cut into pieces that a model can take: PDF, HTML and Markdown.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { htmlToText } from 'html-to-text'
import { extractText, getDocumentProxy } from 'unpdf'

const readers = {
  '.pdf': async (bytes) =>
    (await extractText(await getDocumentProxy(new Uint8Array(bytes)), { mergePages: true })).text,
  '.html': async (bytes) =>
    htmlToText(bytes.toString(), { wordwrap: false, baseElements: { selectors: ['article', 'main', 'body'] } }),
  '.md': async (bytes) => bytes.toString(),
}

/** All documents of a folder, in the order of their names: a listing may come in any order, and steps must not. */
export async function readDocuments(folder) {
  const names = readdirSync(folder).filter((name) => extname(name) in readers)
  return Promise.all(names.sort().map((name) => readDocument(folder, name)))
}

async function readDocument(folder, name) {
  const bytes = readFileSync(join(folder, name))
  return {
    name,
    digest: createHash('sha256').update(bytes).digest('hex'),
    text: (await readers[extname(name)](bytes)).trim(),
  }
}

/** Pieces of about so many characters, cut between sentences. The same text gives the same pieces, always. */
export function split(text, length = 900) {
  const sentences = text.replace(/\s+/g, ' ').match(/[^.!?]+(?:[.!?]+ ?|$)/g) ?? []
  const pieces = []
  for (const sentence of sentences) {
    const last = pieces.at(-1)
    if (last === undefined || last.length + sentence.length > length) pieces.push(sentence)
    else pieces[pieces.length - 1] = last + sentence
  }
  return pieces.map((piece) => piece.trim()).filter((piece) => piece !== '')
}
