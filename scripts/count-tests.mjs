// Prints `N passed, N failed` from vitest's own report and exits as the gate did; skips and an empty run fail under CI, and so
// does a test that the page of the guarantee names and that did not run: count-tests.mjs REPORT EXIT_CODE [PAGE]
import { readFileSync } from 'node:fs'
import { guaranteed, titlePattern } from './guarantee.mjs'

const [path, gate, page] = process.argv.slice(2)
const code = Number(gate)

/** Prints the line that CI reads, always the last one. */
function finish(passed, failed, skipped, exit) {
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exit(exit)
}

let report
try {
  report = JSON.parse(readFileSync(path, 'utf8'))
} catch {
  console.error('no test ran: the gate ended before the tests did')
  finish(0, 1, 0, code || 1)
}

const passed = report.numPassedTests
const skipped = report.numPendingTests + report.numTodoTests
// A file that cannot be loaded, or whose beforeAll throws, has failed without one failed test.
const broken = report.testResults.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
).length
let failed = report.numFailedTests + broken
if (passed + failed + skipped === 0) {
  console.error('the test run was empty')
  failed = 1
}
for (const { file, title } of page === undefined ? [] : guaranteed(page)) {
  const ran = report.testResults
    .filter(({ name }) => name.endsWith(`/${file}`))
    .flatMap(({ assertionResults }) => assertionResults)
    .filter((test) => titlePattern(title).test(test.title))
  if (ran.length > 0 && ran.every(({ status }) => status === 'passed')) continue
  console.error(`a test that docs/guarantee.md names did not run, or not to a good end: ${file}: ${title}`)
  if (failed === 0) failed = 1
}
if (code !== 0 && failed === 0) {
  console.error(`every test passed and the gate still ended with ${code}: an error outside of the tests`)
  failed = 1
}
const forbidden = skipped > 0 && Boolean(process.env.CI)
if (forbidden) console.error(`${skipped} tests were skipped, which CI does not allow`)
finish(passed, failed, skipped, code || (failed > 0 || forbidden ? 1 : 0))
