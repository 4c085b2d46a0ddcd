/** A public subpath and its declaration file. */
export interface Subpath {
  readonly name: string
  readonly page: string
  readonly types: string
}

/** The names that have no docstring where they are declared, and those whose declaration was not found. */
export function undocumented(subpath: Pick<Subpath, 'types'>): string[]

/** The page of a subpath. */
export function reportOf(subpath: Subpath): string
