/** Migration 3: where steps are kept, and what the transitions do with them. */

/**
 * Steps have a table of their own, for a record is written many times and its steps once each. `records.steps` tells
 * whether there are any, so that who has none, which is nearly everybody, never looks there.
 */
export const records = `
ALTER TABLE records ADD COLUMN steps boolean NOT NULL DEFAULT false;

CREATE TABLE steps (
  record_id text COLLATE pg_catalog."C" NOT NULL,
  name text COLLATE pg_catalog."C" NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (record_id, name)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE steps ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TYPE settlement ADD ATTRIBUTE name text;

CREATE FUNCTION drop_steps(r records) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF r.steps THEN DELETE FROM steps s WHERE s.record_id = r.id; END IF;
END $$;

CREATE OR REPLACE FUNCTION record_text(r records) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT concat_ws(e'\\x1f', r.state, r.attempt_id, r.fence, r.attempt, r.lease_until, r.on_abandoned, r.dispatched,
    r.dropped, r.recovering, r.resolved, r.fingerprint, r.raw_fingerprint, r.body_length, coalesce(r.outcome, ''),
    r.outcome_digest, r.retry_at, r.created_at, r.settled_at, r.outcome_expires_at, r.tombstone_expires_at,
    r.retention_ms, r.tombstone_ms, r.steps)
$$;

CREATE OR REPLACE FUNCTION expire(r records) RETURNS records LANGUAGE sql AS $$
  SELECT drop_chunks(r);
  SELECT drop_steps(r);
  UPDATE records SET state = 'expired', head = NULL, body = NULL, body_length = 0, steps = false
  WHERE id = r.id RETURNING *
$$;

CREATE OR REPLACE FUNCTION complete(r records, now_ms bigint, how text, new_head bytea, digest text, rest bytea) RETURNS records
  LANGUAGE plpgsql AS $$
DECLARE
  inline CONSTANT boolean := r.body_length = 0 AND length(rest) <= 262144;
BEGIN
  IF NOT inline THEN PERFORM put_chunks(r.id, r.attempt_id, r.body_length, rest); END IF;
  PERFORM drop_steps(r);
  UPDATE records SET steps = false, state = 'completed', head = new_head, outcome = how, outcome_digest = digest,
    body = CASE WHEN inline AND length(rest) > 0 THEN rest END, body_length = r.body_length + length(rest),
    settled_at = now_ms, outcome_expires_at = now_ms + retention_ms,
    tombstone_expires_at = now_ms + retention_ms + tombstone_ms
  WHERE id = r.id RETURNING * INTO r;
  RETURN r;
END $$;

CREATE OR REPLACE FUNCTION grant_again(r records, ask claim_request, now_us bigint, kind text) RETURNS records LANGUAGE plpgsql AS $$
DECLARE
  now_ms CONSTANT bigint := now_us / 1000;
BEGIN
  PERFORM drop_chunks(r);
  IF kind = 'claim_over' THEN PERFORM drop_steps(r); END IF;
  UPDATE records SET
    steps = records.steps AND kind <> 'claim_over',
    state = 'running', attempt_id = ask.attempt_id, lease_until = now_ms + ask.lease_ms,
    fence = greatest(records.fence + 1, now_us, (SELECT f.fence + 1 FROM fence_floor f WHERE one)),
    attempt = CASE kind WHEN 'claim_over' THEN 1 ELSE records.attempt + 1 END,
    created_at = CASE kind WHEN 'claim_over' THEN now_ms ELSE records.created_at END,
    recovering = kind = 'takeover' AND records.on_abandoned = 'reconcile', on_abandoned = ask.on_abandoned,
    fingerprint = ask.fingerprint, raw_fingerprint = ask.raw_fingerprint,
    dispatched = false, dropped = false, resolved = false, head = NULL, body = NULL, body_length = 0,
    outcome = NULL, outcome_digest = '', retry_at = 0, settled_at = 0, outcome_expires_at = 0, tombstone_expires_at = 0,
    retention_ms = ask.retention_ms, tombstone_ms = ask.tombstone_ms
  WHERE id = r.id RETURNING * INTO r;
  RETURN r;
END $$;
`
