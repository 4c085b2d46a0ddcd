// A handler of Nest that charges once, however often it is asked. With TypeScript: @Post('charges') @Idempotent().
import 'reflect-metadata'
import { Body, Controller, Module, Post } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { memoryStore } from 'oncekey'
import { IdempotencyModule, Idempotent } from 'oncekey/nest'
import { askTwice } from './ask.mjs'

const tenant = (request) => request.headers['x-user'] // your guards know better
let charges = 0

class Charges {
  create({ amount }) {
    charges += 1
    return { charge: charges, amount }
  }
}
const descriptor = Object.getOwnPropertyDescriptor(Charges.prototype, 'create')
for (const decorate of [Post('charges'), Idempotent()]) decorate(Charges.prototype, 'create', descriptor)
Body()(Charges.prototype, 'create', 0)
Controller()(Charges)

class App {}
const imports = [IdempotencyModule.forRoot({ store: memoryStore(), onAbandoned: 'unknown', tenant })]
Module({ imports, controllers: [Charges] })(App)

const app = await NestFactory.create(App, { logger: false, forceCloseConnections: true })
await app.listen(0, '127.0.0.1')
await askTwice(await app.getUrl())
await app.close()
