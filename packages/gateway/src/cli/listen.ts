/** Listening, and the sentence when it cannot be done. */
import type { AddressInfo, Server } from 'node:net'

/** Listens; resolves to the port. `flag` is `port`, or `admin-port`. Rejects with one sentence. */
export function listen(server: Server, host: string, port: number, flag: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(new Error(sentence(error, host, port, flag))))
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port))
  })
}

function sentence(error: NodeJS.ErrnoException, host: string, port: number, flag: string): string {
  if (error.code === 'EADDRINUSE')
    return `Port ${port} on ${host} is in use. Choose another with --${flag}, or --${flag} 0 for a free one.`
  if (error.code === 'EACCES') return `Port ${port} may not be used by this user. Choose one above 1023 with --${flag}.`
  const hostFlag = flag.replace('port', 'host')
  return `Cannot listen on ${host}:${port} (${error.code ?? error.message}). Check --${hostFlag} and --${flag}.`
}

/** An address as a URL has it. */
export function urlOf(host: string, port: number, scheme: 'http' | 'https' = 'http'): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
