/** A group of the sidebar. */
interface Group {
  readonly text: string
  readonly pages?: readonly string[]
  readonly folder?: string
}
export function sidebar(
  groups?: readonly Group[],
): readonly { readonly text: string; readonly items: readonly { readonly link: string }[] }[]
