/** The flaky network: a relay between client and server that loses what it is told to lose, and reports each attempt. */
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What happens to one attempt. Without a fate it passes. */
export interface Fate {
  /** `lose`: the answer arrives whole and goes no further. `cut`: the connection breaks when `when` resolves. */
  readonly kind: 'lose' | 'cut'
  /** `lose`: what else happens before the client notices. */
  readonly meanwhile?: () => Promise<void>
  readonly when?: Promise<void>
}

/** One attempt that is over. */
export interface Attempt {
  readonly ended: 'delivered' | 'lost' | 'broken'
  /** Undefined where no head came. */
  readonly status: number | undefined
  /** `Idempotency-Status` */
  readonly how: string | undefined
}

/** A network that is up once `open` has resolved. */
export class FlakyNetwork {
  /** Hears of each attempt before the client does. */
  onAttempt: ((attempt: Attempt) => void) | undefined
  readonly #target: () => Promise<string>
  readonly #server: Server
  #fates: Fate[] = []

  /** `target` gives the base URL of the far end; while it is not there the network takes its time. */
  constructor(target: () => Promise<string>) {
    this.#target = target
    this.#server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
      this.#carry(request, response).catch(() => response.destroy())
    })
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
  }

  /** The next attempts, one each. */
  plan(fates: readonly Fate[]): void {
    this.#fates = [...fates]
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #carry(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const fate = this.#fates.shift()
    const { method, rawHeaders: headers } = request
    const url = new URL(request.url ?? '/', await this.#target())
    const forward = httpRequest(url, { method, headers: headers as never, agent: false })
    let over = false
    const end = (ended: Attempt['ended'], answer?: IncomingMessage): void => {
      if (over) return
      over = true
      const how = answer?.headers['idempotency-status']
      this.onAttempt?.({ ended, status: answer?.statusCode, how: typeof how === 'string' ? how : undefined })
    }
    const broken = (): void => {
      end('broken')
      forward.destroy()
      response.destroy()
    }
    forward.on('error', broken)
    forward.on('response', (answer) => {
      answer.on('error', broken)
      answer.on('end', () => end(fate?.kind === 'lose' ? 'lost' : 'delivered', answer))
      if (fate?.kind === 'lose') lose(answer, fate).then(broken, broken)
      else deliver(answer, response)
    })
    response.on('close', () => forward.destroy())
    request.pipe(forward)
    if (fate?.kind === 'cut') fate.when?.then(broken, broken)
  }
}

function deliver(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 502, answer.rawHeaders as never)
  answer.pipe(response)
}

function lose(answer: IncomingMessage, { meanwhile }: Fate): Promise<void> {
  return new Promise((resolve, reject) => {
    answer.on('end', () => (meanwhile === undefined ? resolve() : meanwhile().then(resolve, reject)))
    answer.on('close', () => answer.complete || resolve())
    answer.resume()
  })
}
