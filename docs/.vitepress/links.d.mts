export function slugOf(title: string): string
export function linkedFiles(pages: readonly string[]): readonly string[]
/** Rewrites the links of these tokens, as VitePress has them for a page. */
export function siteLinks(markdown: {
  readonly core: { readonly ruler: { push(name: string, rule: (state: unknown) => void): void } }
}): void
