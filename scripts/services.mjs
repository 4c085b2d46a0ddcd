// Real servers, found or installed, started privately on free ports: `node scripts/services.mjs redis` for people, functions for tests.
import { execFileSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { chromiumVersion } from './services/chromium.mjs'
import { ensureClock } from './services/clock.mjs'
import { natsVersion, startNats } from './services/nats.mjs'
import { nginxVersion } from './services/nginx.mjs'
import {
  bouncerVersion,
  embeddedPostgres,
  ensurePostgres,
  foundPostgres,
  newestPostgres,
  startPostgres,
} from './services/postgres.mjs'
import { rabbitmqVersion, startRabbitmq } from './services/rabbitmq.mjs'
import { redisVersion, startRedis, startRedisCluster } from './services/redis.mjs'
import { ensureProgram, mayInstall, onPath } from './tools.mjs'

export { startChromium } from './services/chromium.mjs'
export { startNats } from './services/nats.mjs'
export { startNginx } from './services/nginx.mjs'
export { startPgBouncer, startPostgres, startStandby } from './services/postgres.mjs'
export { startRabbitmq } from './services/rabbitmq.mjs'
export { startRedis, startRedisCluster, startRedisPair, startSentinel } from './services/redis.mjs'

/** Every service with where it comes from; `program` is undefined for what is not here, and `note` says what then. */
export function listServices() {
  const here = foundPostgres()
  return [
    { name: 'redis', ...found('redis-server', redisVersion) },
    { name: 'valkey', ...found('valkey-server', redisVersion) },
    ...(here.length > 0 ? here : [{ version: '', program: undefined, note: missing('postgresql') }]).map((one) => ({
      name: 'postgres',
      note: '',
      ...one,
    })),
    { name: 'postgres', ...embeddedPostgres() },
    { name: 'pgbouncer', ...found('pgbouncer', bouncerVersion) },
    { name: 'nginx', ...found('nginx', nginxVersion) },
    { name: 'chromium', ...found('chromium', chromiumVersion) },
    { name: 'nats', ...found('nats-server', natsVersion) },
    { name: 'rabbitmq', ...found('rabbitmq-server', rabbitmqVersion) },
  ]
}

function found(name, versionOf) {
  const program = onPath(name)
  return program === undefined
    ? { version: '', program, note: missing(name) }
    : { version: versionOf(program), program, note: '' }
}

/** Debian 12 has no Valkey; 13 does. npm has none at all. */
function missing(name) {
  if (!mayInstall()) return `not available here: run "apt-get install -y ${name}" as root`
  try {
    execFileSync('apt-cache', ['show', name], { stdio: 'ignore' })
    return `installed from Debian's package ${name} when it is first started`
  } catch {
    return `not available here: apt-get knows no package ${name}`
  }
}

/**
 * Brings what the tests need and this machine lacks, for a test would time out meanwhile. What cannot be had is said and
 * no failure here: the tests that need it fail.
 */
function install() {
  const all = [
    () => ensureProgram('redis-server'),
    () => ensurePostgres(),
    () => ensurePostgres(newestPostgres),
    () => ensureProgram('pgbouncer'),
    () => ensureProgram('nginx'),
    () => ensureProgram('chromium'),
    () => ensureProgram('nats-server'),
    () => ensureProgram('rabbitmq-server'),
    () => ensureClock(),
    () => ensureProgram('strace'),
  ]
  for (const ensure of all) {
    try {
      ensure()
    } catch (error) {
      console.error(error.message)
    }
  }
}

const starters = {
  redis: () => startRedis(),
  postgres: () => startPostgres(),
  cluster: () => startRedisCluster(),
  nats: () => startNats(),
  rabbitmq: () => startRabbitmq(),
}

/** The command line: without a name it lists, `install` brings what is missing, another name starts it until Ctrl-C. */
async function main(name) {
  if (name === 'install') return install()
  if (name === undefined) {
    for (const { name: service, version, program, note } of listServices()) {
      console.log([service.padEnd(10), version.padEnd(8), program ?? '', note].filter(Boolean).join('  '))
    }
    return
  }
  if (!Object.hasOwn(starters, name)) {
    console.error(`There is no service "${name}". Services: ${Object.keys(starters).join(', ')}; and install.`)
    process.exitCode = 2
    return
  }
  const server = await starters[name]()
  console.log(`${server.url}\nCtrl-C stops it and removes its data.`)
  await new Promise((resolve) => {
    // Servers do not keep the program alive, this does.
    const alive = setInterval(() => {}, 60_000)
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => resolve(clearInterval(alive)))
  })
  await server.stop()
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv[2])
