/** The report of what the library exports: a change is seen, a missing docstring is named, whatever way a name is passed on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { reportOf, undocumented } from '../../scripts/api-report.mjs'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-api-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let made = 0

/** A subpath of one room: what its front door passes on, and what the file behind it declares. */
function subpath(door: string, inside: string) {
  const types = join(folder, `door${made++}.d.ts`)
  const room = join(folder, `room${made}.d.ts`)
  writeFileSync(types, door.replaceAll('ROOM', `./room${made}.ts`))
  writeFileSync(room, `/** What it is for. */\n${inside}`)
  return { name: 'oncekey/room', page: 'room.md', types }
}

const inside = `import type { Far } from 'elsewhere';
/** Says more. */
export interface Options extends Base {
    /** Of the member. */
    readonly size: number;
    readonly far: Far;
}
interface Base {
    readonly name: string;
}
/** Opens. */
export declare function open(path: string): Options;
export declare function open(path: string, options: Options): Options;
export declare const shut: () => void;
`

describe('the report of a subpath', () => {
  test('shows what is exported, without docstrings, and what is reached through it', () => {
    const text = reportOf(subpath("export { type Options, open } from 'ROOM';\n", inside))
    const [exported = '', behind = ''] = text.split('## Reached through these')
    expect(exported).toContain(
      'export declare function open(path: string): Options;\nexport declare function open(path: string, options',
    )
    expect(exported).toContain('readonly size: number;')
    expect(exported).not.toContain('shut')
    expect(exported).not.toContain('Of the member')
    expect(behind).toContain('interface Base {\n    readonly name: string;\n}')
  })
  test('changes with a member of a type that is only reached', () => {
    const door = "export { open as begin } from 'ROOM';\n"
    const before = reportOf(subpath(door, inside)).replaceAll(/room\d+/g, 'room')
    const after = reportOf(subpath(door, inside.replace('name: string', 'name: number'))).replaceAll(/room\d+/g, 'room')
    expect(before).toContain('// begin ')
    expect(after).not.toBe(before)
  })
  test('names what has no docstring, by every way of passing on', () => {
    for (const [door, missing] of [
      ["export { open } from 'ROOM';\n", []],
      ["export { open, shut } from 'ROOM';\n", ['shut']],
      ["export { shut as close } from 'ROOM';\n", ['close']],
      ["export * from 'ROOM';\n", ['shut']],
      ["export type * from 'ROOM';\n", ['shut']],
      ["export * as all from 'ROOM';\n", ['all.shut']],
      ["import { shut } from 'ROOM';\nexport { shut };\n", ['shut']],
      ["export { gone } from 'ROOM';\n", ['gone']],
    ] as const) {
      expect(undocumented(subpath(door, inside)), door).toEqual(missing)
    }
  })
})
