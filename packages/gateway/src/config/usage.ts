/** The error of a command line, variable, file or URL that cannot be right: one sentence, exit code 2. */

/** Thrown while the configuration is read; `message` is shown as it is, in one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError'

  constructor(sentence: string) {
    // It repeats what was written, and what was written may have lines.
    super(sentence.replace(/\s*[\r\n\u0085\u2028\u2029]+\s*/g, ' '))
  }
}
