/** Migration 2: tallies, and cancels. It only adds, so processes of the version before go on beside it. */
import { resolve } from './resolve.ts'

/** A row a name and writer, which only that writer replaces, so nobody waits for another one's row. */
export const second: string = `
CREATE TABLE tallies (
  name text COLLATE pg_catalog."C" NOT NULL,
  writer text COLLATE pg_catalog."C" NOT NULL,
  counts jsonb NOT NULL,
  PRIMARY KEY (name, writer)
) WITH (fillfactor = 50);
${resolve}`
