/** The names of the store's keys. */
import type { RecordId } from '../../core/key.ts'

/** Key names under one prefix. What belongs to one record is in braces, so that a cluster keeps it in one slot. */
export interface Keys {
  /** The record's hash; its body lies under the same name and `:c`. */
  record(id: string): string
  keyless(listId: string): string
  meta(name: string): string
  /** The hash of all tallies. */
  readonly tallies: string
  /** The pattern that matches records only, for SCAN. */
  readonly pattern: string
  /** The id in a record's key. */
  idOf(key: string): RecordId
}

/** The names under a prefix. */
export function keysOf(prefix: string): Keys {
  return {
    record: (id) => `${prefix}{${id}}`,
    keyless: (listId) => `${prefix}k:{${listId}}`,
    meta: (name) => `${prefix}m:{${name}}`,
    tallies: `${prefix}t:{tallies}`,
    pattern: `${literal(prefix)}{*}`,
    idOf: (key) => key.slice(prefix.length + 1, -1) as RecordId,
  }
}

/** A text as a pattern that matches it alone. */
export function literal(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&')
}
