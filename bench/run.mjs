// `npm run bench [engine] [gateway] [stores] [encryption]`: each file answers one question and prints ratios taken in one interleaved run.
const questions = {
  engine: './engine.mjs',
  gateway: './gateway.mjs',
  stores: './stores.mjs',
  encryption: './encryption.mjs',
}
const asked = process.argv.slice(2)
for (const name of asked.length > 0 ? asked : Object.keys(questions)) {
  if (questions[name] === undefined) {
    console.error(`There is no benchmark "${name}". Known: ${Object.keys(questions).join(', ')}.`)
    process.exit(2)
  }
  await (await import(questions[name])).run()
}
process.exit(0)
