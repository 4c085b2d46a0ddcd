/** What somebody meant by a word that is none of the known ones. */

/** `did you mean "upstream"?`, or all of the words where none is near. */
export function meant(word: string, known: readonly string[]): string {
  const [best] = known
    .map((candidate) => ({ candidate, edits: editsBetween(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((one, other) => one.edits - other.edits)
  // A third of a word may be wrong: beyond that a guess is no help.
  const near = best !== undefined && best.edits <= Math.max(1, Math.floor(word.length / 3))
  return near ? `did you mean "${best.candidate}"?` : `known are ${known.join(', ')}.`
}

/** Levenshtein's distance: letters to add, remove or change. */
function editsBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (const [at, letter] of [...one].entries()) {
    const next = [at + 1]
    for (let to = 0; to < other.length; to++) {
      const change = (row[to] ?? 0) + (letter === other[to] ? 0 : 1)
      next.push(Math.min(change, (row[to + 1] ?? 0) + 1, (next[to] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
