/** Label values that requests bring, bounded: no client can make more series than there is room for. */

/** Where money goes: an upstream, a route as the ledger names it, a model. */
export interface Place {
  readonly upstream: string
  readonly route: string
  readonly model: string
}

/** What no room was left for, and what nobody has seen answered. */
const other = 'other'

/** The first places that come; later ones are one `other` for each upstream. */
export class Places {
  readonly #most: number
  readonly #known = new Map<string, Place>()

  constructor(most: number) {
    this.#most = most
  }

  /**
   * The place as it is labelled. Only one that `isReal`, for an upstream has answered it, gets a label of its own: else
   * whoever can send a request could use up the room with paths and models that do not exist.
   */
  labelled(place: Place, isReal: boolean): Place {
    const { upstream, route, model } = place
    const name = `${upstream}\n${route}\n${model}`
    const known = this.#known.get(name)
    if (known !== undefined) return known
    if (!isReal || this.#known.size >= this.#most) return { upstream, route: other, model: model === '' ? '' : other }
    this.#known.set(name, place)
    return place
  }
}
