// Builds the site: what is generated from code and from the rest of the repository first, then VitePress.
import { fileURLToPath } from 'node:url'
import { build, createServer } from 'vitepress'
import { writeRepositoryPages } from './links.mjs'
import { pagesBelow } from './navigation.mjs'
import { writeReference } from './reference.mjs'

const docs = fileURLToPath(new URL('..', import.meta.url))
await writeReference()
writeRepositoryPages(pagesBelow('.').filter((page) => !page.startsWith('generated/')))
await build(docs)
