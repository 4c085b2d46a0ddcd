/** Hints by PUBLISH: who waits for a record in another process listens to the channel that has the name of its key. */
import { Watchers } from '../../core/watchers.ts'
import type { RedisClient } from './connect.ts'
import { type Ear, earOf } from './ear.ts'

/**
 * What one store hears. A channel a record: Redis sends a message only to those who wait for that very record, and one
 * to nobody costs next to nothing. Nothing is promised, and nothing here ever rejects: the poll goes on behind it.
 */
export class RedisHints {
  readonly #openEar: () => Ear
  readonly #watchers = new Watchers()
  #ear: Ear | undefined
  #closed = false

  /** `prefix` begins the names of all channels. */
  constructor(client: RedisClient, prefix: string) {
    const heard = (channel: string): void => this.#watchers.tell(channel)
    this.#openEar = () => earOf(client, { heard, wanted: () => this.#watchers.ids(), idle: prefix })
  }

  /** Connects with the first watch. */
  watch(key: string, onHint: () => void): () => void {
    if (this.#closed) return () => undefined
    this.#ear ??= this.#openEar()
    const ear = this.#ear
    const stop = this.#watchers.add(key, onHint)
    const subscribed = ear.subscribe(key).catch(() => undefined)
    return () => {
      stop()
      // Not before the subscription is there, or node-redis has nothing to take back yet, and keeps it for ever.
      void subscribed.then(() => {
        if (!this.#watchers.has(key)) ear.unsubscribe(key).catch(() => undefined)
      })
    }
  }

  close(): void {
    this.#closed = true
    this.#ear?.close()
    this.#watchers.clear()
  }
}
