// Prints `N passed, N failed` from vitest's own report and exits as the gate did; skips and an empty run fail under CI.
import { readFileSync } from 'node:fs'

const [path, gate] = process.argv.slice(2)
let report
try {
  report = JSON.parse(readFileSync(path, 'utf8'))
} catch {
  // The gate failed before the tests ran.
  console.log('0 passed, 1 failed')
  process.exit(1)
}
const passed = report.numPassedTests
const skipped = report.numPendingTests + report.numTodoTests
const failedFiles = report.testResults.filter(
  (file) => file.status === 'failed' && file.assertionResults.length === 0,
).length
let failed = report.numFailedTests + failedFiles
if (passed === 0 && failed === 0) failed = 1
if (process.env.CI && skipped > 0) {
  console.error(`${skipped} tests were skipped, which CI does not allow`)
  failed += skipped
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(Number(gate) !== 0 ? Number(gate) : failed > 0 ? 1 : 0)
