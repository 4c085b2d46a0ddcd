/** Labels that requests bring: the first real ones get a name of their own, all others share one. */
import { expect, test } from 'vitest'
import { Places } from '../../src/admin/places.ts'

const place = (model: string) => ({ upstream: 'u', route: `POST /${model}`, model })
const rest = { upstream: 'u', route: 'other', model: 'other' }

test('there is room for so many, and what came first keeps its name', () => {
  const places = new Places(2)
  expect(places.labelled(place('a'), true)).toEqual(place('a'))
  expect(places.labelled(place('b'), true)).toEqual(place('b'))
  expect(places.labelled(place('c'), true)).toEqual(rest)
  expect(places.labelled(place('a'), false)).toEqual(place('a'))
})

test('what no upstream has answered takes no room', () => {
  const places = new Places(1)
  for (const model of ['x', 'y', 'z']) expect(places.labelled(place(model), false)).toEqual(rest)
  expect(places.labelled(place('a'), true)).toEqual(place('a'))
})

test('a place without a model has none among the others either', () => {
  expect(new Places(0).labelled({ upstream: 'u', route: 'POST /a', model: '' }, true).model).toBe('')
})
