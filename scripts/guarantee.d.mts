/** A row of docs/guarantee.md. */
export interface Guarantee {
  readonly sentence: string
  readonly file: string
  readonly title: string
}
export function guaranteed(page?: string | URL): readonly Guarantee[]
export function titlePattern(title: string): RegExp
