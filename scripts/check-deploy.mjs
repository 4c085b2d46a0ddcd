// Checks deploy/: the Dockerfile and the systemd unit say what they should, and with --build the image's own steps are run in a copy.
// node scripts/check-deploy.mjs [--build FOLDER]: FOLDER then holds what the image would have in /app.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The instructions of a Dockerfile, by stage; the last stage is the image. */
export function stagesOf(text) {
  const stages = []
  const lines = text
    .replace(/^\s*#.*$/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
  for (const line of lines.map((one) => one.trim()).filter(Boolean)) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (name === undefined) throw new Error(`"${line}" is no instruction.`)
    if (name === 'FROM') stages.push([])
    stages.at(-1)?.push({ name, rest })
  }
  return stages
}

/** What is wrong with a Dockerfile, each in one sentence. */
export function dockerMistakes(text, isThere = (path) => existsSync(join(root, path))) {
  const stages = stagesOf(text)
  const image = stages.at(-1) ?? []
  const all = (name) => image.filter((one) => one.name === name).map(({ rest }) => rest)
  const mistakes = []
  for (const { rest } of stages.flat().filter(({ name }) => name === 'FROM'))
    if (!/^[\w./-]+:(?!latest\b)[\w.-]+/.test(rest)) mistakes.push(`FROM ${rest} has no version.`)
  if (/^(?:root|0|)$/.test((all('USER').at(-1) ?? '').split(':')[0])) mistakes.push('The image runs as root.')
  if (!all('HEALTHCHECK').some((rest) => rest.includes('CMD'))) mistakes.push('The image has no health check.')
  for (const name of ['ENTRYPOINT', 'CMD'])
    if (!all(name).every((rest) => rest.startsWith('[')))
      mistakes.push(`${name} goes through a shell, which swallows SIGTERM.`)
  if (all('ENTRYPOINT').length !== 1) mistakes.push('The image has no entry point.')
  if (!all('RUN').some((rest) => rest.includes('rm -rf /usr/local/lib/node_modules')))
    mistakes.push('npm is left in the image.')
  for (const rest of [...all('COPY'), ...all('ADD')]) {
    const [from] = rest.split(/\s+/)
    if (!rest.startsWith('--from=') && !isThere(from)) mistakes.push(`COPY ${from}: there is no such file.`)
  }
  if (/\b(?:token|secret|password|key)\b\s*=/i.test([...all('ENV'), ...all('ARG')].join(' ')))
    mistakes.push('A secret is in the image.')
  return mistakes
}

/** Variables and flags that are written there and the program does not have. */
export function unknownSettings(text, help) {
  const known = new Set([...help.matchAll(/--([a-z-]+)/g)].map(([, flag]) => flag))
  const flags = [...text.matchAll(/oncekey\.mjs gateway(.*)$/gm)].flatMap(([, line]) =>
    [...line.matchAll(/ --([a-z-]+)/g)].map(([, flag]) => flag),
  )
  const variables = [...text.matchAll(/\bONCEKEY_([A-Z_]+)=/g)].map(([, name]) =>
    name.toLowerCase().replaceAll('_', '-'),
  )
  return [...flags, ...variables].filter((name) => !known.has(name))
}

const unit = join(root, 'deploy/oncekey.service')

/** What systemd itself finds, where it is installed; the program is looked for where this Node is. */
function systemdMistakes() {
  if (spawnSync('systemd-analyze', ['--version']).status !== 0) return { mistakes: [], missing: true }
  const folder = mkdtempSync(join(tmpdir(), 'oncekey-unit-'))
  const copy = join(folder, 'oncekey.service')
  writeFileSync(copy, readFileSync(unit, 'utf8').replaceAll('/usr/bin/node', process.execPath))
  const mistakes = []
  for (const args of [
    ['verify', copy],
    ['security', '--offline=true', '--threshold=20', copy],
  ]) {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
    if (status !== 0 || /Unknown|Failed to parse|ignoring/i.test(stderr))
      mistakes.push(`systemd-analyze ${args[0]}: ${stderr}${stdout.slice(-300)}`)
  }
  rmSync(folder, { recursive: true })
  return { mistakes, missing: false }
}

/** Runs the first stage of the Dockerfile in a copy of what git has here, /app in `into`. */
function build(into) {
  const source = mkdtempSync(join(tmpdir(), 'oncekey-image-'))
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: root, encoding: 'utf8' })
  for (const file of files.split('\0').filter((name) => name !== '' && existsSync(join(root, name)))) {
    mkdirSync(dirname(join(source, file)), { recursive: true })
    cpSync(join(root, file), join(source, file))
  }
  mkdirSync(into, { recursive: true })
  try {
    for (const { name, rest } of stagesOf(readFileSync(join(root, 'deploy/Dockerfile'), 'utf8'))[0] ?? []) {
      if (name !== 'RUN') continue
      const { status, stdout, stderr } = spawnSync('sh', ['-ec', rest.replaceAll('/app', into)], {
        cwd: source,
        encoding: 'utf8',
      })
      if (status !== 0) throw new Error(`RUN ${rest}\n${stdout}\n${stderr}`)
    }
  } finally {
    rmSync(source, { recursive: true, force: true })
  }
}

function main() {
  const { values } = parseArgs({ options: { build: { type: 'string' } } })
  const dockerfile = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8')
  const help = execFileSync(process.execPath, [join(root, 'packages/gateway/bin/oncekey.mjs'), 'gateway', '--help'], {
    encoding: 'utf8',
  })
  const systemd = systemdMistakes()
  const mistakes = [
    ...dockerMistakes(dockerfile),
    ...systemd.mistakes,
    ...[...unknownSettings(dockerfile, help), ...unknownSettings(readFileSync(unit, 'utf8'), help)].map(
      (name) => `deploy/ names "${name}", which the gateway does not have.`,
    ),
  ]
  for (const mistake of mistakes) console.error(mistake)
  if (systemd.missing) console.log('systemd-analyze is not installed here: the unit was read, not verified')
  if (values.build !== undefined && mistakes.length === 0) build(values.build)
  console.log(`deploy: ${mistakes.length} mistakes`)
  process.exitCode = mistakes.length === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
