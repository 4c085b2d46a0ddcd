/** Writes for people at a terminal and for logs: colour and live text only where they can be shown. */

/** The stream that is written to; columns are those of a terminal. */
export interface Paper {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const colours = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33' } as const

/** How a piece of text looks. */
export type Colour = keyof typeof colours

/** What stays in front of a line that is too long: who speaks. */
const labelWidth = 24

/** Where the demo is shown. */
export class Screen {
  readonly #paper: Paper
  readonly #colour: boolean
  readonly #live: boolean
  #liveLines = 0

  constructor(paper: Paper, env: NodeJS.ProcessEnv) {
    this.#paper = paper
    this.#live = paper.isTTY === true && env['TERM'] !== 'dumb'
    // no-color.org: any value but the empty one.
    this.#colour = this.#live && (env['NO_COLOR'] ?? '') === ''
  }

  line(text = ''): void {
    this.#paper.write(`${text}\n`)
  }

  in(colour: Colour, text: string): string {
    return this.#colour ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text
  }

  /** Lines that change in place on a terminal; nothing in a log, where only their last state is worth a line. */
  draw(lines: readonly string[]): void {
    if (!this.#live) return
    const width = (this.#paper.columns ?? 80) - 1
    // A line that wraps would be two to go up, so the newest end of it is shown.
    const fitting = lines.map((line) => (line.length <= width ? line : fit(line, width)))
    this.#paper.write(`${this.#up()}${fitting.map((line) => `\u001b[K${line}\n`).join('')}`)
    this.#liveLines = lines.length
  }

  /** The last state of what was drawn. */
  settle(lines: readonly string[]): void {
    this.#paper.write(`${this.#up()}${lines.map((line) => `${this.#live ? '\u001b[K' : ''}${line}\n`).join('')}`)
    this.#liveLines = 0
  }

  #up(): string {
    return this.#liveLines === 0 ? '' : `\u001b[${this.#liveLines}A`
  }
}

/** Keeps the label in front and as many whole words of the end as there is room for. */
function fit(line: string, width: number): string {
  const label = line.slice(0, labelWidth)
  const end = line.slice(line.length - Math.max(0, width - label.length - 4))
  return `${label}... ${end.slice(end.indexOf(' ') + 1)}`.slice(0, width)
}
