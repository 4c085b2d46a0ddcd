/** `oncekey records`: the operators' view of a store's records, and what they may change about them. */
import { readFileSync } from 'node:fs'
import type { Engine } from 'oncekey/http'
import type { RecordId } from 'oncekey/store'
import { integer, UsageError } from '../config/index.ts'
import {
  auditLine,
  type Change,
  candidates,
  change,
  type Found,
  keyInUse,
  lineOf,
  linesOf,
  listHeading,
  outcomeFrom,
  purge,
  recordStates,
  viewOf,
} from '../operate/index.ts'
import { commandSpecs, type Flags, helpOf, readFlags } from './flags.ts'
import { operatorOf, print, user, withEngine, withStore } from './operating.ts'

/** Records in one call of `--all`, and of one sweep. */
const pageRecords = 500

const actions = {
  list: listRecords,
  show: showRecord,
  resolve: resolveRecord,
  release: (flags: Flags) => changeRecord(flags, { to: 'released' }),
  cancel: (flags: Flags) => changeRecord(flags, { to: 'cancelled' }),
  purge: purgeRecords,
} as const

/** Picks the action behind `records`. */
export async function runRecords(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [name = '', ...rest] = args
  if (name === '--help' || name === '-h') {
    print(
      Object.keys(actions)
        .map((action) => helpOf(commandSpecs[action as keyof typeof actions]))
        .join('\n\n'),
    )
    return 0
  }
  if (!Object.hasOwn(actions, name)) {
    const known = Object.keys(actions).join(', ')
    throw new UsageError(`oncekey records needs one of ${known}${name === '' ? '' : `, and "${name}" is none`}.`)
  }
  const action = name as keyof typeof actions
  const flags = readFlags(commandSpecs[action], rest, env)
  if (flags !== undefined) return actions[action](flags, env)
  print(helpOf(commandSpecs[action]))
  return 0
}

function listRecords(flags: Flags): Promise<number> {
  const state = recordStates.find((one) => one === flags.text('state'))
  if (state === undefined && flags.text('state') !== undefined)
    throw new UsageError(`--state is "${flags.text('state')}" and must be one of ${recordStates.join(', ')}.`)
  const all = flags.on('all')
  const limit = all ? pageRecords : integer(flags.text('limit') ?? '50', '--limit', 1, 1_000)
  const asJson = flags.on('json')
  return withEngine(flags, async ({ calls: { store } }) => {
    let cursor = flags.text('cursor')
    if (!asJson) print(listHeading)
    do {
      const page = await store.scan(cursor, { limit, ...(state === undefined ? {} : { state }) })
      for (const { recordId, record } of page.entries) {
        const view = viewOf(recordId, record)
        print(asJson ? JSON.stringify(view) : lineOf(view))
      }
      cursor = page.cursor
    } while (all && cursor !== undefined)
    if (cursor !== undefined) print(asJson ? JSON.stringify({ cursor }) : `There are more: --cursor ${cursor}`)
    return 0
  })
}

function showRecord(flags: Flags, env: NodeJS.ProcessEnv): Promise<number> {
  return withEngine(flags, async (engine) => {
    const { recordId, record, leaseLeftMs } = await theRecord(engine, flags, env)
    const view = viewOf(recordId, record, leaseLeftMs)
    print(flags.on('json') ? JSON.stringify(view) : linesOf(view))
    return 0
  })
}

function resolveRecord(flags: Flags, env: NodeJS.ProcessEnv): Promise<number> {
  const path = flags.text('outcome')
  if (path === undefined)
    throw new UsageError('oncekey records resolve needs --outcome FILE, which says what really happened.')
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`The file ${path} (--outcome) cannot be read (${(error as NodeJS.ErrnoException).code}).`)
  }
  try {
    return changeRecord(flags, { to: 'completed', outcome: outcomeFrom(text) }, env)
  } catch (error) {
    throw new UsageError(`The file ${path} (--outcome) ${(error as Error).message}.`)
  }
}

function changeRecord(flags: Flags, to: Change, env: NodeJS.ProcessEnv = process.env): Promise<number> {
  return withEngine(flags, async (engine) => {
    const found = await theRecord(engine, flags, env)
    if (to.to === 'completed' && flags.text('encryption-key-file') === undefined) await refuseClear(engine, found)
    const changed = await change(engine, found, to, operatorOf(flags))
    if (changed.kind === 'declined') throw new Error('Nothing was changed.')
    if (changed.kind === 'moved') {
      const now = changed.record === undefined ? 'gone' : changed.record.state
      const hint = now === found.record.state ? 'Only a running or unknown one can be ended.' : 'Look at it again.'
      throw new Error(`Nothing was changed: record ${found.recordId} is ${now} now. ${hint}`)
    }
    const view = viewOf(found.recordId, changed.record)
    print(flags.on('json') ? JSON.stringify(view) : `Record ${found.recordId} is ${changed.record.state} now.`)
    return 0
  })
}

/** An outcome among encrypted ones has to be encrypted too. */
async function refuseClear(engine: Engine, { record }: Found): Promise<void> {
  const id = await keyInUse(engine, record)
  if (id === undefined) return
  throw new Error(
    `Nothing was changed: the outcomes of this store are encrypted with the key "${id}", and this one would be in clear. Repeat it with --encryption-key-file.`,
  )
}

/** The one record that is meant. Throws when there is none, or more than one. */
async function theRecord(
  engine: Engine,
  flags: Flags,
  env: NodeJS.ProcessEnv,
): Promise<Found & { readonly leaseLeftMs: number }> {
  const ids = await idsOf(engine, flags, env)
  const answers = await engine.calls.within('read', engine.calls.store.read(ids))
  const found = answers.flatMap(({ record, leaseLeftMs }, at) =>
    record === undefined ? [] : [{ recordId: ids[at] as RecordId, record, leaseLeftMs }],
  )
  const [one, ...more] = found
  if (one === undefined) {
    throw new Error(
      flags.operand === undefined
        ? 'No record was found under this key. Check --scope, --tenant and --credential-env; or it is over, and the key executes as new.'
        : `There is no record ${flags.operand}: its key would execute as new.`,
    )
  }
  if (more.length === 0) return one
  throw new Error(
    `This key has several records: ${found.map(({ recordId }) => recordId).join(', ')}. Name one by its id.`,
  )
}

async function idsOf(engine: Engine, flags: Flags, env: NodeJS.ProcessEnv): Promise<readonly RecordId[]> {
  const key = flags.text('key')
  if ((key === undefined) === (flags.operand === undefined))
    throw new UsageError('Name the record by its id or by --key, and not by both.')
  if (key === undefined) {
    const stray = ['scope', 'tenant', 'credential-env'].find((flag) => flags.text(flag) !== undefined)
    if (stray !== undefined) throw new UsageError(`--${stray} goes with --key, and a record id needs nothing else.`)
    return [flags.operand as RecordId]
  }
  const variable = flags.text('credential-env')
  const credential = variable === undefined ? undefined : env[variable]
  if (variable !== undefined && !credential) throw new UsageError(`The variable ${variable} is not set.`)
  return candidates(engine, { key, scope: flags.text('scope') ?? '', tenant: flags.text('tenant'), credential })
}

function purgeRecords(flags: Flags, env: NodeJS.ProcessEnv): Promise<number> {
  return flags.operand === undefined && flags.text('key') === undefined ? sweepRecords(flags) : purgeRecord(flags, env)
}

function purgeRecord(flags: Flags, env: NodeJS.ProcessEnv): Promise<number> {
  return withEngine(flags, async (engine) => {
    const found = await theRecord(engine, flags, env)
    const done = await purge(engine, found, operatorOf(flags))
    if (done === 'declined') throw new Error('Nothing was changed.')
    if (done === 'moved')
      throw new Error(
        `Nothing was changed: record ${found.recordId} runs, or has moved on. End it first, or look at it again.`,
      )
    const purged = { recordId: found.recordId, state: 'absent' }
    print(flags.on('json') ? JSON.stringify(purged) : `Record ${found.recordId} is gone.`)
    return 0
  })
}

function sweepRecords(flags: Flags): Promise<number> {
  return withStore(flags, async (store) => {
    const done = { abandoned: 0, expired: 0, purged: 0, released: 0 }
    for (let more = true; more; ) {
      const report = await store.sweep(pageRecords, 2_000)
      for (const name of Object.keys(done) as (keyof typeof done)[]) done[name] += report[name]
      more = report.more
    }
    if (Object.values(done).some((count) => count > 0))
      process.stderr.write(`${auditLine(user(), { action: 'purge', ...done })}\n`)
    const { purged, expired, abandoned, released } = done
    const sentence = `${purged} purged, ${expired} expired, ${abandoned} abandoned, ${released} released.`
    print(flags.on('json') ? JSON.stringify(done) : sentence)
    return 0
  })
}
