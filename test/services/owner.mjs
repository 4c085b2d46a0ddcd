// Starts a Redis and a stopped PostgreSQL, prints them, and dies as it is told without stopping either.
import { startPostgres, startRedis } from '../../scripts/services.mjs'

const [how] = process.argv.slice(2)
const servers = [await startRedis(), await startPostgres()]
servers[1].signal('SIGSTOP')
process.on('SIGUSR2', () => {
  if (how === 'exit') process.exit(0)
  throw new Error('as told')
})
setInterval(() => {}, 60_000)
console.log(JSON.stringify(servers.map(({ pid, folder, port }) => ({ pid, folder, port }))))
