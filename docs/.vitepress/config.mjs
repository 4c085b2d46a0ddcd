// The site that VitePress makes of docs/: the Markdown is the source and stays readable on a code host.
import { siteLinks, slugOf } from './links.mjs'
import { sidebar } from './navigation.mjs'

const icon = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='5' cy='8' r='3' fill='none' stroke='%232563eb' stroke-width='2'/><path d='M8 8h7M12 8v3' stroke='%232563eb' stroke-width='2'/></svg>`

/** The start page has no sidebar and no outline: it is one screen. */
const start = { sidebar: false, aside: false, pageClass: 'start', prev: false, next: false }

/** Pages that only repeat code would drown the others in a search. */
const unsearched = /^(?:api\/|generated\/repository\/(?!\w+\.md$))/

export default {
  title: 'Oncekey',
  description:
    'The idempotency layer for AI APIs: one recorded outcome for a key, however often the request is retried.',
  lang: 'en',
  head: [['link', { rel: 'icon', href: `data:image/svg+xml,${icon}` }]],
  srcExclude: ['**/node_modules/**'],
  cacheDir: '../node_modules/.cache/vitepress',
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, '$1index.md'),
  markdown: {
    anchor: { slugify: slugOf },
    headers: { slugify: slugOf },
    theme: { light: 'github-light', dark: 'github-dark' },
    config: (markdown) => {
      siteLinks(markdown)
      breakableCode(markdown)
    },
  },
  transformPageData: (page) => {
    if (page.relativePath === 'index.md') Object.assign(page.frontmatter, start)
  },
  themeConfig: {
    nav: [
      { text: 'Tutorial', link: '/tutorial' },
      { text: 'How to', link: '/guide/servers', activeMatch: '^/guide/' },
      { text: 'Reference', link: '/reference/library', activeMatch: '^/(reference|api|generated/typedoc)/' },
      {
        text: 'Explanation',
        link: '/explanation/protocol',
        activeMatch: '^/(explanation/|adr/|guarantee|benchmarks|generated/repository)',
      },
      { text: 'Glossary', link: '/glossary' },
    ],
    sidebar: sidebar(),
    outline: [2, 3],
    docFooter: { prev: 'Before', next: 'Next' },
    search: {
      provider: 'local',
      options: {
        _render: (source, env, markdown) => (unsearched.test(env.relativePath) ? '' : markdown.render(source, env)),
      },
    },
  },
  vite: { build: { chunkSizeWarningLimit: 1000 } },
}

/** A long name in a table may go on in the next line, behind an underscore or before a capital. */
function breakableCode(markdown) {
  const render = markdown.renderer.rules.code_inline
  markdown.renderer.rules.code_inline = (...given) => render(...given).replace(/_|(?<=[a-z])(?=[A-Z])/g, '$&<wbr>')
}
