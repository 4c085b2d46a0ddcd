// What many people write: a lock by SET NX PX, the call, the result under the key. node naive.mjs REDIS UPSTREAM KEY LEASE_MS
import Redis from 'ioredis'

const [redisUrl, upstream, key, leaseMs] = process.argv.slice(2)
const redis = new Redis(redisUrl)

async function once() {
  for (;;) {
    const result = await redis.get(`result:${key}`)
    if (result !== null) return result
    if ((await redis.set(`lock:${key}`, process.pid, 'PX', leaseMs, 'NX')) === 'OK') break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const answer = await fetch(`${upstream}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: 'Bearer sk-test',
      'x-sandbox-marker': key,
      'x-sandbox': 'delay=400',
    },
    body: JSON.stringify({ model: 'pretend-1', messages: [{ role: 'user', content: 'hello' }] }),
  })
  const text = await answer.text()
  await redis.set(`result:${key}`, text)
  return text
}

console.log(await once())
redis.disconnect()
