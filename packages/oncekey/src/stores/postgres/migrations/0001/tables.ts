/** Migration 1: the tables, the types that travel, and the clock. Names are resolved in the schema that `migrate` sets. */

/**
 * Why it looks like this:
 *
 * - `records` has two indexes, neither on what changes while a record runs (lease, state, length): renewals, progress and
 *   appends are HOT updates, which touch no index. `sweep_at` is null while a record runs and changes once, when it
 *   settles; the sweeper finds what is due, and what runs, through the one index on it.
 * - `fillfactor` 50: half of a page is left for the second version of each row on it, which a burst of updates needs. Of
 *   `dispatched` in arrays of 64, 100 % were HOT with 50, 51 to 97 % with 70 (bodies of 0 and 1,000 bytes); WAL a record
 *   was 1,439 to 1,701 bytes; and the table was as large with either (2,160 and 2,204 bytes a record of 1,000).
 * - Bytes are kept as they come: most bodies are small or encrypted, and compressing cost more than it saved.
 * - No foreign key from `chunks`: it would lock the record once more for each chunk; functions delete both.
 * - `autovacuum_vacuum_scale_factor`: every record is updated at least once, so a fifth of the table is too long to wait.
 */
export const tables: string = `
CREATE TABLE records (
  fence bigint NOT NULL,
  lease_until bigint NOT NULL,
  body_length bigint NOT NULL DEFAULT 0,
  retry_at bigint NOT NULL DEFAULT 0,
  created_at bigint NOT NULL,
  settled_at bigint NOT NULL DEFAULT 0,
  outcome_expires_at bigint NOT NULL DEFAULT 0,
  tombstone_expires_at bigint NOT NULL DEFAULT 0,
  retention_ms bigint NOT NULL,
  tombstone_ms bigint NOT NULL,
  sweep_at bigint GENERATED ALWAYS AS (
    CASE WHEN state IN ('completed', 'unknown') THEN outcome_expires_at
         WHEN state <> 'running' THEN tombstone_expires_at END
  ) STORED,
  attempt int NOT NULL,
  format smallint NOT NULL DEFAULT 1,
  dispatched boolean NOT NULL DEFAULT false,
  dropped boolean NOT NULL DEFAULT false,
  recovering boolean NOT NULL DEFAULT false,
  resolved boolean NOT NULL DEFAULT false,
  id text COLLATE "C" NOT NULL PRIMARY KEY,
  attempt_id text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL DEFAULT 'running',
  on_abandoned text COLLATE "C" NOT NULL,
  fingerprint text COLLATE "C" NOT NULL,
  raw_fingerprint text COLLATE "C" NOT NULL,
  outcome text COLLATE "C",
  outcome_digest text COLLATE "C" NOT NULL DEFAULT '',
  head bytea,
  body bytea
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.1);
ALTER TABLE records ALTER COLUMN head SET STORAGE EXTERNAL, ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX records_sweep_at ON records (sweep_at);
COMMENT ON COLUMN records.sweep_at IS 'When the sweeper has something to do; null while the record runs.';
COMMENT ON COLUMN records.body IS 'The whole body, when it came with the settle and is small; else it is in chunks.';

CREATE TABLE chunks (
  record_id text COLLATE "C" NOT NULL,
  attempt_id text COLLATE "C" NOT NULL,
  "offset" bigint NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (record_id, attempt_id, "offset")
) WITH (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE keyless_lists (
  id text COLLATE "C" NOT NULL PRIMARY KEY,
  expires_at bigint NOT NULL,
  entries jsonb NOT NULL
);
CREATE INDEX keyless_lists_expires_at ON keyless_lists (expires_at);

CREATE TABLE meta (name text NOT NULL PRIMARY KEY, value bytea NOT NULL);

-- One row. Every fence that a purge has forgotten is at most this.
CREATE TABLE fence_floor (one boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (one), fence bigint NOT NULL);
INSERT INTO fence_floor (fence) VALUES (0);

-- What one entry of a call is answered, with the record as it is after the step. There is none where nothing is recorded,
-- and none for a first claim, of which only the fence is news to who asked.
CREATE TYPE answer AS ("at" int, kind text, now_ms bigint, fence bigint, record text, head bytea, body bytea);

-- The only clock: epoch microseconds. clock_timestamp() and never now(), which stands still in a transaction.
CREATE FUNCTION clock_us() RETURNS bigint LANGUAGE sql VOLATILE AS
  'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint';
`
