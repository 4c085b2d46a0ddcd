// The tests that docs/guarantee.md names, one for each sentence of the promise.
import { readFileSync } from 'node:fs'

/** Each row of the table: the sentence, the file and the title of its test. */
export function guaranteed(page = new URL('../docs/guarantee.md', import.meta.url)) {
  const rows = [...readFileSync(page, 'utf8').matchAll(/^\| (.+) \| `(.+)` \| `(.+)` \|$/gm)]
  return rows.map(([, sentence, file, title]) => ({ sentence, file, title }))
}

/** `…` stands for anything; in the source for an expression of a template. */
export function titlePattern(title) {
  const parts = title.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(parts.join('.*'))
}
