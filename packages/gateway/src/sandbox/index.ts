/** Front door of the sandbox: a provider that bills and misbehaves, for the demo, `--upstream sandbox:` and tests. */
export { pretendPrice, type SandboxCall } from './ledger.ts'
export { type Sandbox, startSandbox } from './server.ts'
