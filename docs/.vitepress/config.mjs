// The site that VitePress makes of docs/: the Markdown is the source and stays readable on a code host.
import { siteLinks, slugOf } from './links.mjs'
import { sidebar } from './navigation.mjs'

/** The start page has no sidebar and no outline: it is one screen. */
const start = { sidebar: false, aside: false, pageClass: 'start' }

export default {
  title: 'Oncekey',
  description:
    'The idempotency layer for AI APIs: one recorded outcome for a key, however often the request is retried.',
  lang: 'en',
  srcExclude: ['**/node_modules/**'],
  outDir: '.vitepress/dist',
  cacheDir: '../node_modules/.cache/vitepress',
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, '$1index.md'),
  markdown: {
    anchor: { slugify: slugOf },
    toc: { slugify: slugOf },
    headers: { slugify: slugOf },
    languageAlias: { mjs: 'js' },
    config: siteLinks,
  },
  transformPageData: (page) => {
    if (page.relativePath === 'index.md') Object.assign(page.frontmatter, start)
  },
  themeConfig: {
    nav: [
      { text: 'Tutorial', link: '/tutorial' },
      { text: 'How to', link: '/guide/library', activeMatch: '^/guide/' },
      { text: 'Reference', link: '/reference/library', activeMatch: '^/(reference|api|generated/typedoc)/' },
      { text: 'Explanation', link: '/explanation/protocol', activeMatch: '^/(explanation|adr|guarantee|benchmarks)' },
      { text: 'Glossary', link: '/glossary' },
    ],
    sidebar: sidebar(),
    outline: [2, 3],
    search: { provider: 'local' },
    docFooter: { prev: 'Before', next: 'Next' },
  },
}
