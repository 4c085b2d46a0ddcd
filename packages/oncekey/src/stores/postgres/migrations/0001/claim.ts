/** Migration 1: claim, the mirror of the reducer's `claim` (T1–T4, T9, T10, T12). */

/**
 * One statement answers nearly everything: it looks every id up, judges those that are there, and inserts the others in
 * the order of their ids. No row that is there is locked, so a replay writes no WAL. What must change such a row, or lost
 * the race for an insert, goes through `claim_later`: lock, judge again, write. So no answer is empty and nothing is
 * granted twice. Ids that come more than once in a call are in `repeated`, and take the second way in their order.
 *
 * Measured (PostgreSQL 15, arrays of 64, one core of the server): 9 µs a claim and 4.4 µs a replay, against 19 and 9 with
 * a join each for the lookup and the insert, and 5.3 for a bare insert of such a row.
 *
 * `LATERAL … LIMIT 1` keeps the planner from joining the whole table: its plan is kept for the session, and may have been
 * made when the table was empty.
 */
export const claim: string = `
CREATE TYPE claim_request AS (
  "at" int, id text COLLATE "C", attempt_id text, fingerprint text, raw_fingerprint text, on_abandoned text,
  lease_ms bigint, skew_ms bigint, retention_ms bigint, tombstone_ms bigint
);

-- What a claim makes of a record that is there, in the reducer's order.
CREATE FUNCTION claim_verdict(r records, ask claim_request, now_ms bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN r.format <> 1 THEN 'unreadable'
    WHEN r.attempt_id <> ask.attempt_id AND r.state <> 'running' AND now_ms >= r.tombstone_expires_at THEN 'claim_over'
    WHEN r.state <> 'expired' AND NOT (r.state IN ('completed', 'unknown') AND now_ms >= r.outcome_expires_at)
      AND r.fingerprint <> ask.fingerprint
      AND (ask.raw_fingerprint = '' OR r.raw_fingerprint <> ask.raw_fingerprint) THEN 'mismatch'
    WHEN r.attempt_id = ask.attempt_id AND r.state = 'running' THEN 'yours'
    WHEN r.state IN ('completed', 'unknown') AND now_ms >= r.outcome_expires_at THEN 'expire'
    WHEN r.attempt_id = ask.attempt_id THEN 'held'
    WHEN r.state = 'running' AND now_ms > r.lease_until + ask.skew_ms THEN
      CASE WHEN r.on_abandoned <> 'unknown' OR NOT r.dispatched THEN 'takeover' ELSE 'abandon' END
    WHEN r.state = 'released' AND now_ms >= r.retry_at THEN 'retry'
    ELSE 'held'
  END
$$;

CREATE FUNCTION claim(requests json, repeated json, durable boolean) RETURNS SETOF answer LANGUAGE plpgsql
  SET search_path FROM CURRENT SET lock_timeout = '1500ms' SET enable_seqscan = off AS $$
DECLARE
  now_us CONSTANT bigint := clock_us();
  now_ms CONSTANT bigint := now_us / 1000;
  first_fence CONSTANT bigint := greatest(now_us, (SELECT f.fence + 1 FROM fence_floor f WHERE one));
  answered int[] := '{}';
  first boolean := false;
  ask claim_request;
  a answer;
BEGIN
  IF durable AND current_setting('synchronous_commit') = 'off' THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
  FOR a IN
    WITH asked AS MATERIALIZED (SELECT * FROM json_populate_recordset(NULL::claim_request, requests)),
    found AS MATERIALIZED (
      SELECT q.id, q."at", r.* FROM asked q CROSS JOIN LATERAL (
        SELECT claim_verdict(r, q, now_ms) AS kind, record_text(r) AS record, r.head, small_body(r) AS body
        FROM records r WHERE r.id = q.id LIMIT 1
      ) r
    ),
    fresh AS (
      INSERT INTO records (id, attempt_id, fence, attempt, lease_until, on_abandoned, fingerprint, raw_fingerprint,
                           created_at, retention_ms, tombstone_ms)
      SELECT q.id, q.attempt_id, first_fence, 1, now_ms + q.lease_ms, q.on_abandoned, q.fingerprint, q.raw_fingerprint,
             now_ms, q.retention_ms, q.tombstone_ms
      FROM asked q WHERE q.id NOT IN (SELECT found.id FROM found) ORDER BY q.id
      ON CONFLICT (id) DO NOTHING RETURNING records.id
    )
    SELECT q."at", 'claim', now_ms, first_fence, NULL, NULL, NULL FROM asked q JOIN fresh USING (id)
    UNION ALL
    SELECT "at", kind, now_ms, NULL, record, head, CASE kind WHEN 'held' THEN body END
    FROM found WHERE kind IN ('held', 'yours', 'mismatch')
  LOOP
    answered := answered || a."at";
    first := first OR a.kind = 'claim';
    RETURN NEXT a;
  END LOOP;
  IF cardinality(answered) < json_array_length(requests) + json_array_length(repeated) THEN
    FOR ask IN
      SELECT q.* FROM (SELECT requests AS list UNION ALL SELECT repeated) l, json_populate_recordset(NULL::claim_request, list) q
      WHERE q."at" <> ALL (answered) ORDER BY q.id, q."at"
    LOOP
      a := claim_later(ask, now_us, first_fence);
      first := first OR a.kind = 'claim';
      RETURN NEXT a;
    END LOOP;
  END IF;
  -- An insert may have followed a purge that had not been committed when the floor was read; now it has been. Either the
  -- fence is above the purged one (I9), or the call fails and is made again. Only a clock that stepped back leads here.
  IF first AND first_fence <= (SELECT f.fence FROM fence_floor f WHERE one) THEN
    RAISE 'records were purged while others were claimed, and the clock has stepped back' USING ERRCODE = '40001';
  END IF;
END $$;

CREATE FUNCTION claim_later(ask claim_request, now_us bigint, first_fence bigint) RETURNS answer LANGUAGE plpgsql AS $$
DECLARE
  now_ms CONSTANT bigint := now_us / 1000;
  kind text;
  r records;
BEGIN
  LOOP
    SELECT * INTO r FROM records WHERE id = ask.id FOR UPDATE;
    EXIT WHEN FOUND;
    INSERT INTO records (id, attempt_id, fence, attempt, lease_until, on_abandoned, fingerprint, raw_fingerprint,
                         created_at, retention_ms, tombstone_ms)
    VALUES (ask.id, ask.attempt_id, first_fence, 1, now_ms + ask.lease_ms, ask.on_abandoned, ask.fingerprint,
            ask.raw_fingerprint, now_ms, ask.retention_ms, ask.tombstone_ms) ON CONFLICT (id) DO NOTHING;
    IF FOUND THEN RETURN ROW(ask."at", 'claim', now_ms, first_fence, NULL, NULL, NULL)::answer; END IF;
  END LOOP;
  kind := claim_verdict(r, ask, now_ms);
  CASE kind
    WHEN 'unreadable' THEN PERFORM refuse_format(r);
    WHEN 'abandon' THEN r := abandon(r, now_ms, NULL); kind := 'held';
    WHEN 'expire' THEN r := expire(r); kind := 'held';
    WHEN 'claim_over', 'takeover', 'retry' THEN r := grant_again(r, ask, now_us, kind);
    ELSE NULL;
  END CASE;
  RETURN answered(ask."at", kind, now_ms, r);
END $$;

-- T3, T9 and T12: the record starts again under a new attempt, without a byte of the former one.
CREATE FUNCTION grant_again(r records, ask claim_request, now_us bigint, kind text) RETURNS records LANGUAGE plpgsql AS $$
DECLARE
  now_ms CONSTANT bigint := now_us / 1000;
BEGIN
  PERFORM drop_chunks(r);
  UPDATE records SET
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
