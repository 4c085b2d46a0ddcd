/** `--admin-port`: opens the admin side of a gateway, and hands its token to the operator and to nobody else. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Engine } from 'oncekey/http'
import type { Logger } from 'pino'
import type { Metrics } from '../admin/index.ts'
import type { GatewayConfig } from '../config/index.ts'
import { listen, urlOf } from './listen.ts'

/** The admin side of a running gateway. */
export interface OpenedAdmin {
  /** For stdout, behind the ready line. */
  readonly line: string
  /** What `/readyz` goes by. */
  phase: 'starting' | 'serving' | 'draining'
  close(): void
}

/** What it asks of its gateway. */
export interface AdminHome {
  readonly engine: Engine
  readonly log: Logger
  /** The snapshots of all processes. */
  readonly snapshots: () => Promise<object[][]>
  /** An operator ended a record that was running. */
  readonly ended: () => void
}

/** The metrics of this process; undefined where nobody can ask for them. */
export async function metricsOf(config: GatewayConfig): Promise<Metrics | undefined> {
  if (config.admin === undefined) return undefined
  // Loaded only where it is used: a gateway without an admin side starts without it.
  const { Metrics: Made } = await import('../admin/index.ts')
  const labels = [...config.upstreams].map(([name, url]) => {
    const [preset = 'none', ...more] = config.presets.get(name) ?? []
    const provider = more.length > 0 ? 'sandbox' : (providers[preset] ?? preset)
    const port = url.port || (url.protocol === 'http:' ? '80' : url.protocol === 'https:' ? '443' : '')
    return [name, { provider, address: url.hostname, port }] as const
  })
  return new Made(new Map(labels))
}

/** `gen_ai.provider.name` where OpenTelemetry has a word of its own for what a preset is about. */
const providers: Readonly<Record<string, string>> = {
  azure: 'azure.ai.openai',
  gemini: 'gcp.gemini',
  mistral: 'mistral_ai',
  bedrock: 'aws.bedrock',
  common: 'other',
  none: 'other',
}

/** The ready line, and behind it the admin side's where there is one. */
export function linesOf(ready: string, admin: OpenedAdmin | undefined): string {
  return admin === undefined ? `${ready}\n` : `${ready}\n${admin.line}\n`
}

/** Opens it; undefined without `--admin-port`. Rejects with one sentence. */
export async function openAdmin(config: GatewayConfig, home: AdminHome): Promise<OpenedAdmin | undefined> {
  const { admin } = config
  if (admin === undefined) return undefined
  const { AdminServer, aggregated } = await import('../admin/index.ts')
  const token = admin.token ?? randomBytes(24).toString('base64url')
  const server = new AdminServer({
    engine: home.engine,
    encrypts: config.encryption !== undefined,
    token,
    phase: () => opened.phase,
    metrics: async () => aggregated(await home.snapshots()).metrics(),
    audit: (line) => process.stderr.write(`${line}\n`),
    ended: home.ended,
    failed: (error) => home.log.error({ err: error }, 'a request to the admin side failed'),
  })
  const port = await listen(server.server, admin.host, admin.port, 'admin-port')
  const handed = admin.token === undefined ? hand(token) : undefined
  const opened: OpenedAdmin = {
    line: `oncekey admin listening on ${urlOf(admin.host, port)}${handed === undefined ? '' : ` (${handed.said})`}`,
    phase: 'starting',
    close: () => {
      server.close()
      if (handed?.path !== undefined) rmSync(dirname(handed.path), { recursive: true, force: true })
    },
  }
  return opened
}

/**
 * A random token is shown on a terminal. What is no terminal may be a log that many read and that is kept for years, so
 * there it goes to a file for this user alone, and only the file's name is printed.
 */
function hand(token: string): { readonly said: string; readonly path?: string } {
  if (process.stdout.isTTY) return { said: `token ${token}` }
  try {
    const path = join(mkdtempSync(join(tmpdir(), 'oncekey-admin-')), 'token')
    writeFileSync(path, `${token}\n`, { mode: 0o600 })
    return { said: `token in ${path}`, path }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Error(
      `The admin token cannot be written to ${tmpdir()} (${code}), and stdout is no terminal to show it on. Give one with --admin-token-file.`,
    )
  }
}
