/** The shared store: Redis or Valkey, one server, Sentinel or a cluster, through ioredis or node-redis. */
import { IdempotencyError } from '../../core/errors.ts'
import type { RecordId } from '../../core/key.ts'
import { byList, type KeylessAnswer } from '../../core/keyless.ts'
import type { AttemptId, RecordState } from '../../core/record.ts'
import type {
  AppendAnswer,
  AppendRequest,
  ClaimAnswer,
  ClaimRequest,
  Finding,
  KeptStep,
  KeylessRequest,
  PurgeAnswer,
  PurgeRequest,
  ReadAnswer,
  RenewAnswer,
  RenewRequest,
  ResolveRequest,
  ScanPage,
  SettleAnswer,
  Settlement,
  Store,
  StoreCapabilities,
  SweepReport,
  Tally,
  TallyPage,
} from '../../core/store.ts'
import { claimAnswer, readAnswer, renewAnswer, settleAnswer, stepsAnswer, textOf } from './answers.ts'
import { appendArgs, argument, claimArgs, resolveArgs, settleArgs } from './asks.ts'
import { claim } from './claim.lua.ts'
import { type RedisClient, wireOf } from './connect.ts'
import { FenceFloor } from './floor.ts'
import { RedisHints } from './hints.ts'
import { KeylessLists } from './keyless.ts'
import { type Keys, keysOf } from './keys.ts'
import { body, look, purge, resolve, steps } from './others.lua.ts'
import { failure } from './refusals.ts'
import { Runner, type Step } from './run.ts'
import { scanPage } from './scan.ts'
import type { Script } from './script.ts'
import { type Expectations, inspect } from './server.ts'
import { append, renew, settle } from './settle.lua.ts'
import { RedisSweep } from './sweep.ts'
import { putTallies, tallyPage } from './tallies.ts'
import { once } from './values.lua.ts'
import type { Command, Reply, Wire } from './wire.ts'

export type { RedisClient } from './connect.ts'

/** Options of the Redis store. */
export interface RedisStoreOptions {
  /** Begins every key. Default `ok:`. */
  readonly prefix?: string
  /**
   * Claims that must be durable, and settles, are acknowledged only when this many replicas have them; with fewer they
   * are refused. Default 0: a failover can lose what was acknowledged.
   */
  readonly waitReplicas?: number
  /** How long to wait for those replicas, ms. Default 1,000: less than the 2 s after which a call counts as failed. */
  readonly waitReplicasMs?: number
  /** Start although Redis may evict records when its memory is full. What is evicted is executed again. */
  readonly dangerouslyAllowEviction?: boolean
  /**
   * Who waits in another process hears of a change at once and not at the next poll. Costs one connection more for each
   * process that waits, and one PUBLISH for each record that is written, in the same round trip. Default false.
   */
  readonly hints?: boolean
}

/**
 * Records in the Redis that `client` is connected to. The client stays yours: `close` leaves it open.
 *
 * Leases, dates and fences are on the server's clock (with several primaries, that of the record's own). A fence is the
 * µs of that clock; were it set back by more than the retention and no process had swept in between, a fence could be
 * lower than one whose record is gone.
 *
 * The first call looks at the server's setup and rejects (`store_unavailable`) where the promise would not hold; until
 * then `capabilities.durability` is the least that may be found. A call that a driver sends a second time after a broken
 * connection changes nothing: every script compares the attempt.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): Store {
  return new RedisStore(client, options)
}

/** What the engine waits for. */
const scripts: readonly Script[] = [claim, renew, settle, append, look, body, resolve, steps]

class RedisStore implements Store {
  readonly capabilities: StoreCapabilities
  readonly watch?: NonNullable<Store['watch']>
  readonly #hints: RedisHints | undefined
  readonly #wire: Wire
  readonly #keys: Keys
  readonly #expected: Expectations
  readonly #runner: Runner
  readonly #floor: FenceFloor
  readonly #lists: KeylessLists
  readonly #sweep: RedisSweep
  #durability: StoreCapabilities['durability']
  #state: 'new' | 'ready' | 'closed' = 'new'
  #starting: Promise<void> | undefined

  constructor(client: RedisClient, options: RedisStoreOptions) {
    const { prefix = 'ok:', waitReplicas = 0, waitReplicasMs = 1_000, dangerouslyAllowEviction = false } = options
    const wire = wireOf(client)
    this.#wire = wire
    this.#keys = keysOf(prefix)
    this.#expected = { waitReplicas, dangerouslyAllowEviction }
    const wait = waitReplicas > 0 ? { replicas: waitReplicas, waitMs: waitReplicasMs } : undefined
    this.#runner = new Runner(wire, wait)
    this.#floor = new FenceFloor(this.#runner, this.#keys.meta('fence-floor'))
    this.#lists = new KeylessLists({ runner: this.#runner, read: (ids) => this.read(ids) })
    const { pattern } = this.#keys
    this.#sweep = new RedisSweep({ wire, runner: this.#runner, floor: this.#floor, pattern })
    this.#durability = waitReplicas > 0 ? 'replicated' : 'none'
    if (options.hints === true) {
      const hints = new RedisHints(client, prefix)
      this.#hints = hints
      this.watch = (recordId, onHint) => hints.watch(this.#keys.record(recordId), onHint)
    }
    this.capabilities = this.#capabilities()
  }

  async claim(requests: readonly ClaimRequest[]): Promise<readonly ClaimAnswer[]> {
    const durable = requests.some((ask) => ask.onAbandoned !== 'reexecute')
    if (this.#state !== 'ready') await this.#start()
    const floor = this.#floor.known
    return this.#run(claim, requests, (ask) => claimArgs(ask, floor), claimAnswer, durable)
  }

  renew(requests: readonly RenewRequest[]): Promise<readonly RenewAnswer[]> {
    return this.#run(renew, requests, (ask) => [ask.attemptId, String(ask.leaseMs)], renewAnswer)
  }

  settle(settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> {
    const durable = settlements.some((ask) => ask.kind !== 'head' && ask.kind !== 'dropped')
    // Nobody waits for a dispatch or a step.
    return this.#run(
      settle,
      settlements,
      settleArgs,
      settleAnswer,
      durable,
      (ask) => ask.kind !== 'dispatched' && ask.kind !== 'step',
    )
  }

  append(requests: readonly AppendRequest[]): Promise<readonly AppendAnswer[]> {
    const answer = (reply: Reply): AppendAnswer => ({ kind: textOf(reply) as AppendAnswer['kind'] })
    return this.#run(append, requests, appendArgs, answer, false, () => true)
  }

  read(recordIds: readonly RecordId[]): Promise<readonly ReadAnswer[]> {
    const asks = recordIds.map((recordId) => ({ recordId }))
    return this.#run(look, asks, () => [], readAnswer)
  }

  async readBody(recordId: RecordId, attemptId: AttemptId, offset: number): Promise<readonly Uint8Array[]> {
    const [piece] = await this.#run(body, [{ recordId }], () => [attemptId, String(offset)], bytesOf)
    return piece === undefined || piece.length === 0 ? [] : [piece]
  }

  async steps(recordId: RecordId): Promise<readonly KeptStep[]> {
    const [found] = await this.#run(steps, [{ recordId }], () => [], stepsAnswer)
    return found ?? []
  }

  async keyless(requests: readonly KeylessRequest[]): Promise<readonly KeylessAnswer[]> {
    await this.#start()
    return byList(requests, (listId, asks) => this.#lists.steps(this.#keys.keyless(listId), asks))
  }

  resolve(requests: readonly ResolveRequest[]): Promise<readonly SettleAnswer[]> {
    return this.#run(resolve, requests, resolveArgs, settleAnswer, true, () => true)
  }

  async purge(requests: readonly PurgeRequest[]): Promise<readonly PurgeAnswer[]> {
    const found = await this.read(requests.map((ask) => ask.recordId))
    // A record that is another attempt's by the time it would go has another fence, and is refused.
    await this.#floor.raise(Math.max(0, ...found.map(({ record }) => record?.fence ?? 0)))
    const answer = (reply: Reply): PurgeAnswer => ({ kind: textOf(reply) as PurgeAnswer['kind'] })
    return this.#run(purge, requests, (ask) => [ask.expected], answer, true)
  }

  async scan(
    cursor: string | undefined,
    filter: { readonly state?: RecordState; readonly limit: number },
  ): Promise<ScanPage> {
    await this.#start()
    return scanPage({ wire: this.#wire, runner: this.#runner, keys: this.#keys }, cursor, filter)
  }

  async sweep(limit: number, skewMs: number): Promise<SweepReport> {
    await this.#start()
    return this.#sweep.next(limit, skewMs)
  }

  async meta(name: string, ifAbsent: Uint8Array): Promise<Uint8Array> {
    await this.#start()
    const step = { key: this.#keys.meta(name), args: [argument(ifAbsent)] }
    const [held] = await this.#runner.run(once, [step], true)
    return bytesOf(held)
  }

  async tally(tallies: readonly Tally[]): Promise<void> {
    await this.#start()
    return putTallies(this.#runner, this.#keys.tallies, tallies)
  }

  async tallies(cursor: string | undefined, prefix?: string): Promise<TallyPage> {
    await this.#start()
    return tallyPage(this.#runner, this.#keys.tallies, cursor, prefix)
  }

  async diagnose(): Promise<readonly Finding[]> {
    if (this.#state === 'closed') throw closed()
    return (await inspect(await this.#wire.primaries(), this.#expected)).findings
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    this.#hints?.close()
  }

  /** One script on each entry's record. Where others may wait for what it `changes`, they are told. */
  async #run<Ask extends { readonly recordId: RecordId }, Answer>(
    script: Script,
    asks: readonly Ask[],
    args: (ask: Ask) => Step['args'],
    answer: (reply: Reply) => Answer,
    durable = false,
    changes: (ask: Ask) => boolean = () => false,
  ): Promise<readonly Answer[]> {
    if (this.#state !== 'ready') await this.#start()
    const tells = this.#hints !== undefined
    const runs = asks.map((ask) => {
      return { key: this.#keys.record(ask.recordId), args: args(ask), tells: tells && changes(ask) }
    })
    return (await this.#runner.run(script, runs, durable)).map(answer)
  }

  /** Looks at the server once; a server that was away, or was set right since, is looked at again. */
  async #start(): Promise<void> {
    if (this.#state === 'closed') throw closed()
    if (this.#state === 'ready') return
    this.#starting ??= this.#inspect().finally(() => {
      this.#starting = undefined
    })
    await this.#starting
  }

  async #inspect(): Promise<void> {
    const primaries = await this.#wire.primaries()
    const { findings, durability } = await inspect(primaries, this.#expected)
    const broken = findings.find(({ level }) => level === 'broken')
    if (broken !== undefined) throw failure(`${broken.meaning} (Found: ${broken.found}.)`)
    this.#durability = durability
    // A script that a server does not know yet costs a second round trip, for which a slow one may not have the time.
    const loads = scripts.map(({ source }): Command => ['SCRIPT', 'LOAD', source])
    await Promise.all(primaries.map((primary) => primary.send(loads)))
    await this.#floor.raise(0)
    if (this.#state === 'new') this.#state = 'ready'
  }

  #capabilities(): StoreCapabilities {
    const durability = (): StoreCapabilities['durability'] => this.#durability
    return {
      name: 'redis',
      clock: 'store',
      get durability() {
        return durability()
      },
      hints: this.#hints !== undefined,
      callsInFlight: 4,
      multiProcess: true,
      transactional: false,
    }
  }
}

function bytesOf(reply: Reply): Uint8Array {
  if (!(reply instanceof Uint8Array)) throw failure('Redis answered text where the store wrote bytes.')
  return reply
}

function closed(): IdempotencyError {
  return new IdempotencyError('store_unavailable', 'This store has been closed.')
}
