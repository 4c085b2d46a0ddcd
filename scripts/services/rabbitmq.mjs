// A private RabbitMQ: one Erlang node of its own name on ports of its own, with its files in its own folder.
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureProgram, onPath } from '../tools.mjs'
import { ownFolder } from './folders.mjs'
import { startServer } from './server.mjs'

/** Debian puts each version into a folder of its own. */
const installed = '/usr/lib/rabbitmq/lib'

/** The port on which Erlang nodes talk to each other lies this far above AMQP's. */
const distributionAbove = 10_000

function home() {
  const [newest] = readdirSync(installed)
    .filter((name) => name.startsWith('rabbitmq_server-'))
    .sort()
    .reverse()
  return join(installed, newest)
}

/** Which version the installed RabbitMQ is. */
export function rabbitmqVersion() {
  return home().split('-').at(-1)
}

/**
 * A server of its own, without plugins. `settings` are lines of rabbitmq.conf, `internals` what that file has no name for. It is `erl` itself and not Debian's script, which would change to another account and
 * stand between us and the process. No epmd is started, a daemon that would outlive us: a node that is told its port asks for none.
 */
export async function startRabbitmq({ settings = {}, internals = {} } = {}) {
  // The package may start a server of the system, which is none of ours; it has other ports.
  ensureProgram('rabbitmq-server')
  const program = ensureProgram('erl', 'erlang-base', () => onPath('erl'))
  const folder = ownFolder('rabbitmq')
  const nameOf = ({ port }) => `oncekey${port}@localhost`
  return startServer(
    {
      name: 'rabbitmq',
      version: rabbitmqVersion(),
      program,
      args: (server) => [
        ...[
          '-noinput',
          '-s',
          'rabbit',
          'boot',
          '-boot',
          'start_sasl',
          '-setcookie',
          'oncekey',
          '-sname',
          nameOf(server),
        ],
        ...['-start_epmd', 'false', '-erl_epmd_port', String(server.port + distributionAbove)],
        // Two schedulers, and none that spins while it waits: the tests need the cores.
        ...['+S', '2:2', '+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none', '+W', 'w'],
        ...Object.entries(internals).flatMap(([name, value]) => ['-rabbit', name, value]),
        ...['-syslog', 'logger', '[]', '-syslog', 'syslog_error_logger', 'false'],
      ],
      prepare: (server) => writeConfig(folder, server, settings),
      ready: /Server startup complete/,
      url: ({ host, port }) => `amqp://guest:guest@${host}:${port}`,
      env: (server) => variables(folder, server, nameOf(server)),
      portsAbove: [distributionAbove],
    },
    folder,
  )
}

function variables(folder, { port }, name) {
  const base = home()
  return {
    HOME: folder,
    ERL_LIBS: join(base, 'plugins'),
    RABBITMQ_HOME: base,
    RABBITMQ_NODENAME: name,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(port + distributionAbove),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'logs'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'none'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_PLUGINS_DIR: join(base, 'plugins'),
  }
}

function writeConfig(folder, { host, port }, settings) {
  const all = { 'listeners.tcp.1': `${host}:${port}`, loopback_users: 'none', 'log.console': 'true', ...settings }
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}\n`)
  writeFileSync(join(folder, 'rabbitmq.conf'), lines.join(''))
  writeFileSync(join(folder, 'enabled_plugins'), '[].\n')
}
