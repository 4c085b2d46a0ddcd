/** Who in this process wants to hear of which record: what a store's `watch` stands on. */

/** Listeners by id. An id that nobody watches costs nothing. */
export class Watchers {
  readonly #listeners = new Map<string, Set<{ readonly onHint: () => void }>>()

  /** Answers how to stop; stopping twice is stopping once. */
  add(id: string, onHint: () => void): () => void {
    const listeners = this.#listeners.get(id) ?? new Set()
    const one = { onHint }
    this.#listeners.set(id, listeners.add(one))
    return () => {
      listeners.delete(one)
      // The set of another, later watch may be under this id by now.
      if (listeners.size === 0 && this.#listeners.get(id) === listeners) this.#listeners.delete(id)
    }
  }

  /** Calls all who watch the id; nobody may. */
  tell(id: string): void {
    for (const { onHint } of this.#listeners.get(id) ?? []) onHint()
  }

  has(id: string): boolean {
    return this.#listeners.has(id)
  }

  ids(): readonly string[] {
    return [...this.#listeners.keys()]
  }

  clear(): void {
    this.#listeners.clear()
  }
}
