/** What the pretend provider has made and keeps: batches, by dialect, newest first as the real ones list them. */

/** An object with its id. */
export type KeptObject = Readonly<Record<string, unknown>> & { readonly id: string }

/** Objects of all kinds. */
export class Kept {
  readonly #kinds = new Map<string, KeptObject[]>()

  add(kind: string, object: KeptObject): void {
    this.#kinds.set(kind, [object, ...(this.#kinds.get(kind) ?? [])])
  }

  find(kind: string, id: string | undefined): KeptObject | undefined {
    return this.#kinds.get(kind)?.find((object) => object.id === id)
  }

  /** Replaces members of one. */
  change(kind: string, id: string, members: object): void {
    const changed = this.#kinds.get(kind)?.map((object) => (object.id === id ? { ...object, ...members } : object))
    if (changed !== undefined) this.#kinds.set(kind, changed)
  }

  /** A page behind an object, as both APIs answer it. */
  page(kind: string, after: string | undefined, limit: number): object {
    const all = this.#kinds.get(kind) ?? []
    const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1
    const data = all.slice(from, from + limit)
    const ids = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null }
    return { object: 'list', data, has_more: from + limit < all.length, ...ids }
  }

  reset(): void {
    this.#kinds.clear()
  }
}
