/** How far a run is: a bar on a terminal, a line every now and then in a log. */
import { counted, dollars } from './report.ts'
import type { Tally } from './tally.ts'

/** Where it is shown. */
export interface Screen {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** How often, ms: a bar should move, and a log should stay short. */
const everyMs = { bar: 200, line: 10_000 }
const barCells = 24

/** Shows a tally while it grows; the answer stops it, and leaves the last line of a log and nothing of a bar. */
export function showProgress(tally: Tally, screen: Screen): () => void {
  const isBar = screen.isTTY === true
  const show = (): void => {
    screen.write(isBar ? `\r\x1b[K${barText(tally, screen.columns ?? 80)}` : `${lineText(tally)}\n`)
  }
  const timer = setInterval(show, isBar ? everyMs.bar : everyMs.line)
  // A run that has ended must not be held by its bar.
  timer.unref()
  return () => {
    clearInterval(timer)
    screen.write(isBar ? '\r\x1b[K' : `${lineText(tally)}\n`)
  }
}

/** As in `oncekey batch: 1,200 of 5,000 lines (24 %), 3 failed, $1.2345` */
function lineText(tally: Tally): string {
  return `oncekey batch: ${countsText(tally)}`
}

function barText(tally: Tally, columns: number): string {
  const full = Math.floor((barCells * tally.ended) / Math.max(1, tally.lines))
  return `[${'#'.repeat(full)}${'.'.repeat(barCells - full)}] ${countsText(tally)}`.slice(0, columns - 1)
}

function countsText({ ended, lines, failed, unknown, usd }: Tally): string {
  const percent = Math.floor((100 * ended) / Math.max(1, lines))
  const bad = [failed > 0 ? `, ${counted(failed)} failed` : '', unknown > 0 ? `, ${counted(unknown)} unknown` : '']
  return `${counted(ended)} of ${counted(lines)} lines (${percent} %)${bad.join('')}${usd > 0 ? `, ${dollars(usd)}` : ''}`
}
