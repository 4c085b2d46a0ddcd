import type { Browser } from 'playwright-core'

/** A private server. It and its folder are gone when it is stopped, and when the process that started it is. */
export interface Server {
  /** `redis`, `valkey`, `postgres`, `pgbouncer`, `nginx`, `nats`, `rabbitmq`. */
  readonly name: string
  readonly version: string
  readonly url: string
  readonly host: string
  readonly port: number
  /** Removed by `stop`. */
  readonly folder: string
  /** Undefined while it is down. */
  readonly pid: number | undefined
  /** What it logged since its last start. */
  readonly log: string
  /** Ends it in good order and removes its folder. */
  stop(): Promise<void>
  /** Ends all of its processes at once (or it alone, by another signal) and waits for the end. Keeps folder and port. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Starts it again after `kill`, on the same folder and port. */
  start(): Promise<void>
  /** SIGSTOP, SIGCONT and SIGKILL reach all of its processes, any other signal the main one. */
  signal(name: NodeJS.Signals): void
}

/** Of a server started with `clock: true`. Exact to 100 ms; both move its time of day, the only clock it has. */
export interface MovedClock {
  advance(ms: number): Promise<void>
  /** Also backwards. */
  stepWall(ms: number): Promise<void>
}

export interface RedisServer extends Server {
  /** What `redis-cli` answers to this command, with its line ends. */
  cli(...command: readonly string[]): Promise<string>
}

export interface RedisOptions {
  /** Beside appendonly yes, appendfsync always, save '', maxmemory-policy noeviction. */
  readonly settings?: Readonly<Record<string, string>>
  /** The path of a `redis-server` or `valkey-server`; by default the one on the PATH. */
  readonly program?: string
}

export function startRedis(options: RedisOptions & { readonly clock: true }): Promise<RedisServer & MovedClock>
export function startRedis(options?: RedisOptions & { readonly clock?: false }): Promise<RedisServer>

/** A primary and a replica whose link is up. */
export interface RedisPair {
  readonly primary: RedisServer
  readonly replica: RedisServer
  stop(): Promise<void>
}

export function startRedisPair(options?: Pick<RedisOptions, 'settings'>): Promise<RedisPair>

/** Three primaries with a replica each. */
export interface RedisCluster {
  readonly nodes: readonly RedisServer[]
  /** `redis+cluster://host:port,…` */
  readonly url: string
  stop(): Promise<void>
}

export function startRedisCluster(options?: Pick<RedisOptions, 'settings'>): Promise<RedisCluster>

/** A sentinel over a pair; it fails over a second after the primary is gone. */
export interface Sentinel {
  /** `redis+sentinel://host:port/master` */
  readonly url: string
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly master: string
  stop(): Promise<void>
}

export function startSentinel(pair: RedisPair): Promise<Sentinel>

export interface PostgresServer extends Server {
  readonly user: string
  readonly database: string
}

export interface PostgresOptions {
  readonly settings?: Readonly<Record<string, string>>
  /** A major one: `15`, `18`. By default the newest of the system. */
  readonly version?: string
}

export function startPostgres(options: PostgresOptions & { readonly clock: true }): Promise<PostgresServer & MovedClock>
export function startPostgres(options?: PostgresOptions & { readonly clock?: false }): Promise<PostgresServer>

/** PgBouncer in transaction mode. */
export function startPgBouncer(
  postgres: PostgresServer,
  options?: { readonly settings?: Readonly<Record<string, string>> },
): Promise<Server>

/** A hot standby that follows by streaming, asynchronously unless the primary names `standby` in synchronous_standby_names. */
export function startStandby(postgres: PostgresServer): Promise<PostgresServer & { promote(): Promise<void> }>

export interface NginxOptions {
  /** What stands in the `http` context, made before every start; the server is to listen on `host` and `port`. */
  readonly http: (server: Pick<Server, 'host' | 'port'>) => string
}

/** nginx with one worker. */
export function startNginx(options: NginxOptions): Promise<Server>

/** Chromium without a window, with a fresh profile that `close()` removes. */
export function startChromium(): Promise<Browser>

/** NATS with JetStream; its streams survive `kill`. */
export function startNats(): Promise<Server>

export interface RabbitmqOptions {
  /** Lines of rabbitmq.conf. */
  readonly settings?: Readonly<Record<string, string>>
  /** Variables of the application `rabbit` that rabbitmq.conf has no name for. */
  readonly internals?: Readonly<Record<string, string>>
}

/** RabbitMQ without plugins. What is durable survives `kill`. */
export function startRabbitmq(options?: RabbitmqOptions): Promise<Server>

/** A service, found or not. */
export interface Service {
  readonly name: string
  readonly version: string
  /** Undefined when it is not here; then `note` says how it comes, or why it cannot. */
  readonly program: string | undefined
  readonly note: string
}

export function listServices(): readonly Service[]
