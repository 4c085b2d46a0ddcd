/** H15–H17: keys, tenants, and requests that are not covered. */
import { same } from './expect.ts'
import type { HttpCase, HttpSubject, Sent } from './http-subject.ts'

const malformed: readonly [string, string, string][] = [
  ['an empty key', '', 'key_malformed'],
  ['an empty quoted key', '""', 'key_malformed'],
  ['a quote that does not end', '"k', 'key_malformed'],
  ['a parameter', '"k";a=1', 'key_malformed'],
  ['a key of 256 characters', 'k'.repeat(256), 'key_malformed'],
  ['two keys', 'a, b', 'key_ambiguous'],
]

async function ignored(s: HttpSubject, sent: Sent, how: string): Promise<void> {
  for (let times = 1; times <= 2; times++) {
    const got = await s.send(sent)
    same([got.status, got.header('idempotency-status')], [201, how], JSON.stringify(sent))
    s.executed(times)
  }
}

/** Keys and tenants. */
export const keys: readonly HttpCase[] = [
  ...malformed.map(([what, key, code]) => ({
    name: `H15 ${what} is refused before anything else`,
    async run(s: HttpSubject) {
      s.refused(await s.send({ key }), 400, code, false)
      s.executed(0)
    },
  })),
  {
    name: 'H15 a quoted key and the bare one name the same record',
    async run(s) {
      await s.replays({ key: '"k"' }, await s.send({ key: 'k' }))
      s.executed(1)
    },
  },
  {
    name: 'H15 a route that requires a key refuses a request without one',
    options: { requireKey: true },
    async run(s) {
      s.refused(await s.send(), 400, 'key_missing', false)
      s.executed(0)
      same((await s.send({ key: 'k' })).status, 201, 'with a key')
    },
  },
  {
    name: 'H16 the same key of another credential is another record',
    async run(s) {
      const first = await s.send({ key: 'k', as: 'alice' })
      const second = await s.send({ key: 'k', as: 'bob' })
      same([first.text, second.text], ['{"execution":1}', '{"execution":2}'], 'the answers')
      await s.replays({ key: 'k', as: 'bob' }, second)
      s.executed(2)
    },
  },
  {
    name: 'H16 a key without a credential is refused: nobody can tell whose it is',
    async run(s) {
      s.refused(await s.send({ key: 'k', as: null }), 400, 'tenant_required', false)
      s.executed(0)
    },
  },
  {
    name: 'H16 the tenant that the app names replaces the credential',
    options: { tenantHeader: 'x-user' },
    async run(s) {
      const as = (user: string): Record<string, string> => ({ 'X-User': user })
      const first = await s.send({ key: 'k', as: 'old', headers: as('1') })
      await s.replays({ key: 'k', as: 'rotated', headers: as('1') }, first)
      same((await s.send({ key: 'k', as: 'old', headers: as('2') })).text, '{"execution":2}', 'another user')
      s.refused(await s.send({ key: 'k', as: 'old' }), 400, 'tenant_required', false)
      s.executed(2)
    },
  },
  {
    name: 'H17 a request without a key runs unprotected, and says so',
    run: (s) => ignored(s, {}, 'ignored'),
  },
  ...['GET', 'OPTIONS'].map((method) => ({
    name: `H17 the key of ${method} is ignored`,
    run: (s: HttpSubject) => ignored(s, { method, key: 'k', body: null }, 'ignored'),
  })),
  {
    name: 'H17 a method that is not covered is bypassed',
    run: (s) => ignored(s, { method: 'PUT', key: 'k' }, 'bypassed'),
  },
  {
    name: 'H17 a method that the route covers is covered',
    options: { methods: ['PUT', 'DELETE'] },
    async run(s) {
      for (const method of ['PUT', 'DELETE']) {
        await s.replays({ key: 'k', method }, await s.send({ key: 'k', method }))
      }
      s.executed(2)
      same((await s.send({ key: 'k' })).header('idempotency-status'), 'bypassed', 'POST on a route for others')
    },
  },
]
