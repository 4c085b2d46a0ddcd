/** Migration 1: what several functions use: durability, formats, bodies, and the steps that the reducer has as functions. */

/** Names are the reducer's. Every function here that writes is called with the record's row locked. */
export const shared: string = `
-- A record as it travels, joined by unit separators, which no text of it contains: one column costs the client half of
-- what 22 do (2 instead of 4 µs a record). A later version may add fields at the end, none of them null.
CREATE FUNCTION record_text(r records) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT concat_ws(e'\\x1f', r.state, r.attempt_id, r.fence, r.attempt, r.lease_until, r.on_abandoned, r.dispatched,
    r.dropped, r.recovering, r.resolved, r.fingerprint, r.raw_fingerprint, r.body_length, coalesce(r.outcome, ''),
    r.outcome_digest, r.retry_at, r.created_at, r.settled_at, r.outcome_expires_at, r.tombstone_expires_at,
    r.retention_ms, r.tombstone_ms)
$$;

CREATE FUNCTION refuse_format(r records) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RAISE 'a record has the format %, which this schema cannot read', r.format USING ERRCODE = 'OK001';
END $$;

-- Bytes of the record's own attempt from an offset on, at most so many, and nothing behind its length.
CREATE FUNCTION body_between(r records, start bigint, most bigint) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
DECLARE
  until CONSTANT bigint := least(start + most, r.body_length);
  first bigint;
BEGIN
  IF start >= until THEN RETURN ''; END IF;
  IF r.body IS NOT NULL THEN RETURN substring(r.body FROM (start + 1)::int FOR (until - start)::int); END IF;
  -- The chunk in which the offset lies: without it, every chunk before would be looked at.
  SELECT c."offset" INTO first FROM chunks c
    WHERE c.record_id = r.id AND c.attempt_id = r.attempt_id AND c."offset" <= start ORDER BY c."offset" DESC LIMIT 1;
  RETURN (
    SELECT substring(string_agg(c.bytes, '' ORDER BY c."offset") FROM (start - first + 1)::int FOR (until - start)::int)
    FROM chunks c WHERE c.record_id = r.id AND c.attempt_id = r.attempt_id AND c."offset" >= first AND c."offset" < until
  );
END $$;

-- A completed outcome's body where it is at most 256 KiB, so that a replay needs no second call (S5).
CREATE FUNCTION small_body(r records) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN r.state = 'completed' AND r.body_length <= 262144 THEN
    CASE WHEN r.body IS NOT NULL THEN r.body ELSE body_between(r, 0, 262144) END END
$$;

-- What a record that was locked and judged is answered with.
CREATE FUNCTION answered("at" int, kind text, now_ms bigint, r records) RETURNS answer LANGUAGE sql STABLE AS $$
  SELECT ROW("at", kind, now_ms, r.fence, CASE WHEN r.id IS NOT NULL THEN record_text(r) END, r.head,
             CASE kind WHEN 'held' THEN small_body(r) END)::answer
$$;

-- Bytes of an attempt as chunks of at most 256 KiB.
CREATE FUNCTION put_chunks(id text, attempt_id text, start bigint, bytes bytea) RETURNS void LANGUAGE sql AS $$
  INSERT INTO chunks (record_id, attempt_id, "offset", bytes)
  SELECT id, attempt_id, start + n, substring(bytes FROM n + 1 FOR 262144)
  FROM generate_series(0, length(bytes) - 1, 262144) n
$$;

CREATE FUNCTION drop_chunks(r records) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF r.body_length > 0 AND r.body IS NULL THEN DELETE FROM chunks WHERE record_id = r.id; END IF;
END $$;

-- T4, and a settle as unknown, which alone has a digest.
CREATE FUNCTION abandon(r records, now_ms bigint, digest text) RETURNS records LANGUAGE sql AS $$
  UPDATE records SET state = 'unknown', outcome_digest = coalesce(digest, outcome_digest),
    settled_at = now_ms, outcome_expires_at = now_ms + retention_ms,
    tombstone_expires_at = now_ms + retention_ms + tombstone_ms
  WHERE id = r.id RETURNING *
$$;

-- T10: the body goes, id and fingerprint stay until the tombstone's expiry.
CREATE FUNCTION expire(r records) RETURNS records LANGUAGE sql AS $$
  SELECT drop_chunks(r);
  UPDATE records SET state = 'expired', head = NULL, body = NULL, body_length = 0 WHERE id = r.id RETURNING *
$$;

CREATE FUNCTION release(r records, now_ms bigint, retry_after_ms bigint, digest text) RETURNS records LANGUAGE sql AS $$
  SELECT drop_chunks(r);
  UPDATE records SET state = 'released', head = NULL, body = NULL, body_length = 0, dropped = false,
    outcome_digest = digest, retry_at = CASE WHEN retry_after_ms > 0 THEN now_ms + retry_after_ms ELSE 0 END,
    settled_at = now_ms, outcome_expires_at = 0, tombstone_expires_at = now_ms + greatest(retention_ms, retry_after_ms)
  WHERE id = r.id RETURNING *
$$;

-- With the rest of the body: inline where it is the whole of it and small, else as chunks behind those that are there.
CREATE FUNCTION complete(r records, now_ms bigint, how text, new_head bytea, digest text, rest bytea) RETURNS records
  LANGUAGE plpgsql AS $$
DECLARE
  inline CONSTANT boolean := r.body_length = 0 AND length(rest) <= 262144;
BEGIN
  IF NOT inline THEN PERFORM put_chunks(r.id, r.attempt_id, r.body_length, rest); END IF;
  UPDATE records SET state = 'completed', head = new_head, outcome = how, outcome_digest = digest,
    body = CASE WHEN inline AND length(rest) > 0 THEN rest END, body_length = r.body_length + length(rest),
    settled_at = now_ms, outcome_expires_at = now_ms + retention_ms,
    tombstone_expires_at = now_ms + retention_ms + tombstone_ms
  WHERE id = r.id RETURNING * INTO r;
  RETURN r;
END $$;
`
