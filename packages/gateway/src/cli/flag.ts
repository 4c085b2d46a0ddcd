/** One flag of a command, and those that many commands have. */

/** `flag` is without its dashes, and an empty placeholder makes it a switch. */
export interface FlagSpec {
  readonly flag: string
  readonly placeholder: string
  readonly help: string
}

/** `--json`. */
export const json: FlagSpec = { flag: 'json', placeholder: '', help: 'print JSON, a line each' }
