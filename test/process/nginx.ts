/** The nginx of docs/guide/deploying.md: the page's own configuration, with the ports of this machine. */
import { type Server, startNginx } from '../../scripts/services.mjs'
import { textOf } from '../docs/markdown.ts'
import type { Stage } from '../e2e/harness.ts'

/** Text of the configuration and what stands there instead. */
export type Edit = readonly [from: string, to: string]

/** No test waits for half an hour. */
const readTimeoutMs = 2_000

/** nginx before two ports, the first of which it asks first; `edits` are what a test does otherwise. */
export async function startBalancer(
  stage: Stage,
  [first, second]: readonly [{ readonly port: number }, { readonly port: number }],
  edits: readonly Edit[] = [],
): Promise<Server> {
  const [, page] = /```nginx\n(.*?)```/s.exec(textOf('docs/guide/deploying.md')) ?? []
  if (page === undefined) throw new Error('docs/guide/deploying.md has no nginx configuration.')
  const nginx = await startNginx({
    http: ({ host, port }) => {
      const own: Edit[] = [
        ['10.0.0.11:8787', `127.0.0.1:${first.port}`],
        ['10.0.0.12:8787', `127.0.0.1:${second.port}`],
        ['listen 80;', `listen ${host}:${port};`],
        ['proxy_read_timeout 31m', `proxy_read_timeout ${readTimeoutMs}ms`],
      ]
      return [...own, ...edits].reduce((text, [from, to]) => replaced(text, from, to), page)
    },
  })
  stage.add({ close: () => nginx.stop() })
  return nginx
}

/** Fails where the page no longer says what is to be replaced. */
function replaced(text: string, from: string, to: string): string {
  if (text.split(from).length !== 2) throw new Error(`The nginx configuration has "${from}" not once.`)
  return text.replace(from, () => to)
}
