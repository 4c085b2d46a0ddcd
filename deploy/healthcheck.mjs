// Exit code 0 when the gateway in this container accepts connections; with an admin port, when it says that it is healthy.
import { connect } from 'node:net'

const { ONCEKEY_ADMIN_PORT: admin, ONCEKEY_PORT: port = '8787' } = process.env
const withinMs = 2_000

if (admin === undefined || admin === '') {
  const socket = connect(Number(port), '127.0.0.1', () => process.exit(0))
  socket.on('error', () => process.exit(1))
  socket.setTimeout(withinMs, () => process.exit(1))
} else {
  fetch(`http://127.0.0.1:${admin}/healthz`, { signal: AbortSignal.timeout(withinMs) }).then(
    ({ ok }) => process.exit(ok ? 0 : 1),
    () => process.exit(1),
  )
}
