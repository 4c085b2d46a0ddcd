/** Runs clients that need Node 22 in a child process, on the binary that npm installs. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Stage } from './harness.ts'
import type { Sdk, Told } from './sdk.ts'

/** Starts a script of this folder that serves asks (serve.mjs); resolves when it is ready. */
export async function onNode22(stage: Stage, script: string): Promise<Sdk['ask']> {
  const program = stage.program(node22(), [fileURLToPath(new URL(script, import.meta.url))], 'pipe')
  const waiting = new Map<number, (told: Told) => void>()
  const ready = new Promise<string>((resolve, reject) => {
    const { stdout } = program.child
    if (stdout === null) throw new Error('no stdout')
    createInterface({ input: stdout }).on('line', (line) => {
      const { id, told, node } = JSON.parse(line) as { id: number; told: Told; node?: string }
      if (node !== undefined) resolve(node)
      waiting.get(id)?.(told)
    })
    void program.exited.then(() => reject(new Error(`${script} ended on Node 22: ${program.stderr}`)))
  })
  const version = await ready
  if (Number.parseInt(version, 10) < 22) throw new Error(`${script} needs Node 22; its binary is Node ${version}.`)
  let asked = 0
  return (ask) =>
    new Promise((resolve, reject) => {
      asked += 1
      waiting.set(asked, resolve)
      program.child.stdin?.write(`${JSON.stringify({ id: asked, ask })}\n`)
      void program.exited.then(() => reject(new Error(`${script} ended: ${program.stderr}`)))
    })
}

function node22(): string {
  const name = `node-${process.platform}-${process.arch}`
  const missing = `These tests need Node 22, which the npm package ${name} brings. Run npm ci with optional dependencies; on a platform that has no such package, install one and add it to optionalDependencies.`
  let manifest: string
  try {
    manifest = createRequire(import.meta.url).resolve(`${name}/package.json`)
  } catch {
    throw new Error(missing)
  }
  const binary = join(dirname(manifest), 'bin', 'node')
  if (!existsSync(binary)) throw new Error(missing)
  return binary
}
