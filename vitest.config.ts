import { defineConfig } from 'vitest/config'

const results = process.env['ONCEKEY_TEST_RESULTS']

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    passWithNoTests: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 4,
    ...(results === undefined ? {} : { reporters: ['default', 'json'], outputFile: { json: results } }),
  },
})
