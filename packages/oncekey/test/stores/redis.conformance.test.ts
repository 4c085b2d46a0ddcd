/** The Redis store does what every store must do: by both clients, in both versions of the protocol, and on a cluster. */
import { afterAll, beforeAll, describe, test } from 'vitest'
import { storeConformance } from '../../src/testing/index.ts'
import {
  type Connect,
  clients,
  clusterClients,
  damage,
  type OpenedRedis,
  openRedis,
  type Servers,
  startOne,
  startThree,
} from './redis.ts'

let one: Servers
let three: Servers

beforeAll(async () => {
  one = await startOne()
  three = await startThree()
}, 120_000)

afterAll(async () => {
  await one.stop()
  await three.stop()
})

function conforms(name: string, servers: () => Servers, connect: Connect): void {
  describe(name, () => {
    storeConformance<OpenedRedis>(
      { test },
      { open: () => openRedis(servers(), connect), reopen: (opened) => opened.another(), damage },
    )
  })
}

for (const [name, connect] of Object.entries(clients)) conforms(name, () => one, connect)
for (const [name, connect] of Object.entries(clusterClients)) conforms(name, () => three, connect)
