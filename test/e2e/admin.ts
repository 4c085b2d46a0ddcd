/** The admin side of a gateway, as an operator's programs ask it. */
import { readFileSync } from 'node:fs'

/** What the admin side answered. */
export interface AdminAnswer {
  readonly status: number
  readonly text: string
  readonly headers: Headers
  readonly json: Record<string, unknown>
}

/** How it is asked; `token: null` sends none. */
export interface AdminAsk {
  readonly method?: string
  readonly token?: string | null
  readonly body?: string
}

/** The admin side of a gateway that was started with `--admin-port 0`. */
export class Admin {
  readonly url: string
  readonly token: string

  /** Reads the second line of its stdout; the token from there, unless it came from a file of the test's own. */
  constructor(stdout: string, token?: string) {
    this.url = /^oncekey admin listening on (http:\S+)/m.exec(stdout)?.[1] ?? ''
    const path = /\(token in (\S+)\)$/m.exec(stdout)?.[1]
    this.token = token ?? (path === undefined ? '' : readFileSync(path, 'utf8').trim())
  }

  async ask(path: string, { method = 'GET', token = this.token, body }: AdminAsk = {}): Promise<AdminAnswer> {
    const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
    const answer = await fetch(this.url + path, { method, headers, ...(body === undefined ? {} : { body }) })
    const text = await answer.text()
    return {
      status: answer.status,
      text,
      headers: answer.headers,
      get json() {
        return JSON.parse(text) as Record<string, unknown>
      },
    }
  }

  /** The records in a state. */
  async records(state: string): Promise<readonly Record<string, unknown>[]> {
    const { json } = await this.ask(`/v1/records?state=${state}`)
    return json['records'] as Record<string, unknown>[]
  }

  /** The one running record: asked for until there is one. */
  async running(): Promise<string> {
    for (let tries = 0; tries < 200; tries++) {
      const [record] = await this.records('running')
      if (record !== undefined) return String(record['recordId'])
    }
    throw new Error('no record runs')
  }

  /** What Prometheus would read. */
  async samples(): Promise<Samples> {
    return new Samples((await this.ask('/metrics')).text)
  }
}

/** One scrape. */
export class Samples {
  /** By name and labels, as they are written. */
  readonly series: ReadonlyMap<string, number>

  constructor(text: string) {
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    this.series = new Map(
      lines.map((line) => {
        const at = line.lastIndexOf(' ')
        return [line.slice(0, at), Number(line.slice(at + 1))]
      }),
    )
  }

  /** The sum over the series of a name whose labels hold all of these. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
    let sum = 0
    for (const [series, value] of this.series) {
      const isNamed = series === name || series.startsWith(`${name}{`)
      if (isNamed && wanted.every((pair) => series.includes(`{${pair}`) || series.includes(`,${pair}`))) sum += value
    }
    return sum
  }
}
