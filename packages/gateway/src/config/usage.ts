/** The error of a command line, variable, file or URL that cannot be right: one sentence, exit code 2. */

/** Thrown while the configuration is read; `message` is shown as it is. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
