// The Node 22 binary that some SDK tests need comes as an npm package whose bin is called `node`. Linked into .bin it
// would silently replace the Node in use for every npm script, so the link is taken away again after each install.
import { rmSync } from 'node:fs'

for (const name of ['node', 'node.cmd', 'node.ps1']) {
  rmSync(new URL(`../node_modules/.bin/${name}`, import.meta.url), { force: true })
}
