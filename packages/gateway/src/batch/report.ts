/** The report of a run in words, and the plan of a dry one. */
import type { Report } from './tally.ts'

/** Some lines for people: what was done, what it cost, and what to do about the rest. */
export function reportText(report: Report, out: string, errors: string): string {
  const { executed, replayed, kept, failed, unknown, left, lines } = report
  const counts = { executed, replayed, kept, failed, unknown, left }
  const said = Object.entries(counts).map(([name, count]) => `${counted(count)} ${name}`)
  return [
    `${counted(lines)} lines: ${said.join(', ')}.`,
    spentText(report),
    ...remarks(report, out, errors),
    ...(report.stopped === undefined ? [] : [`Stopped: ${report.stopped}`]),
  ].join('\n')
}

/** Is everything done, and fine? */
export function isFine({ failed, unknown, left, stopped, unwritten }: Report): boolean {
  return failed + unknown + left + unwritten === 0 && stopped === undefined
}

function spentText({ executed, tokens, usd, unpriced }: Report): string {
  const lacks = unpriced === 0 ? '' : ` (without ${counted(unpriced)} lines whose price is not known)`
  return `Spent: ${counted(tokens)} tokens, ${dollars(usd)} for ${counted(executed)} calls${lacks}.`
}

function remarks(
  { takenOver, failed, unknown, left, unwritten, batchId }: Report,
  out: string,
  errors: string,
): string[] {
  const again = `Run the command again${failed + unknown + left > 0 ? ` (batch id ${batchId})` : ''}`
  const remark = (count: number, text: string): string[] => (count > 0 ? [text] : [])
  return [
    ...remark(
      takenOver ?? 0,
      `${counted(takenOver ?? 0)} lines were executed again because their process had died: they may have been paid twice.`,
    ),
    ...remark(failed, `The failed lines are in ${errors}. ${again}: what the provider did not execute is tried again.`),
    ...remark(
      unknown,
      `The unknown lines may have been executed when a process died, and are not run again; ${errors} has them. Look at the provider what became of them, then end each by oncekey records resolve or release.`,
    ),
    ...remark(
      unwritten,
      `${counted(unwritten)} answers could not be written to ${out}. They are in the store: the next run takes them from there.`,
    ),
    ...remark(left, `${again} for the lines that are left.`),
  ]
}

/** Dollars to four places, as single calls cost less than a cent. */
export function dollars(usd: number): string {
  return `$${usd.toFixed(4)}`
}

/** 12,345 */
export function counted(count: number): string {
  return count.toLocaleString('en-US')
}
