/** Migration 1: settle and progress, the mirror of the reducer's `settle` (T6, T7), and `resolve` (T8). */

/**
 * `whole`: completed outcomes that come with their whole small body, nearly all there is. One statement with the guard in
 * it writes them all. `others`, and ids that come twice, are judged one by one. Rows are locked in the order of their ids:
 * by the plan of the statement (its outer side is sorted, and no join but by the index is possible), by the loop, and before
 * both where a call has both. Heads and bodies of all entries come in one blob.
 *
 * `= ANY (ARRAY[…])` can only be looked up in an index. With `=`, a plan that was made while the table was empty, and is kept
 * for the session, read the whole table at each call: 2,000 operations a second instead of 17,000.
 *
 * Measured (PostgreSQL 15, arrays of 64, 1 KiB, one core of the server): 17 µs a settle, against 26 in a loop of updates
 * and 30 with a lock before each.
 */
export const settle: string = `
CREATE TYPE settlement AS (
  "at" int, id text COLLATE "C", attempt_id text, kind text, outcome text, digest text, retry_after_ms bigint,
  head_at int, head_length int, rest_offset bigint, rest_at int, rest_length int
);

CREATE FUNCTION settle(whole json, others json, blob bytea, durable boolean) RETURNS SETOF answer
  LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1500ms' SET enable_seqscan = off AS $$
DECLARE
  whole_length CONSTANT int := json_array_length(whole);
  others_length CONSTANT int := json_array_length(others);
  now_ms bigint := clock_us() / 1000;
  answered int[] := '{}';
  ids text[];
  ask settlement;
  a answer;
BEGIN
  IF durable AND current_setting('synchronous_commit') = 'off' THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
  IF whole_length > 0 AND others_length > 0 THEN
    SELECT array_agg(q.id) INTO ids FROM (SELECT whole AS list UNION ALL SELECT others) l,
      json_populate_recordset(NULL::settlement, list) q;
    PERFORM FROM records r WHERE r.id = ANY (ids) ORDER BY r.id FOR UPDATE;
    now_ms := clock_us() / 1000;
  END IF;
  FOR a IN
    WITH asked AS MATERIALIZED (SELECT * FROM json_populate_recordset(NULL::settlement, whole) q ORDER BY q.id)
    UPDATE records r SET
      state = 'completed', head = substring(blob FROM q.head_at FOR q.head_length), outcome = q.outcome,
      outcome_digest = q.digest, body_length = q.rest_length,
      body = CASE WHEN q.rest_length > 0 THEN substring(blob FROM q.rest_at FOR q.rest_length) END,
      settled_at = now_ms, outcome_expires_at = now_ms + r.retention_ms,
      tombstone_expires_at = now_ms + r.retention_ms + r.tombstone_ms
    FROM asked q
    WHERE r.id = ANY (ARRAY[q.id]) AND r.attempt_id = q.attempt_id AND r.state IN ('running', 'unknown')
      AND NOT r.dropped AND r.body_length = 0 AND r.format = 1
    RETURNING q."at", 'recorded', now_ms, r.fence, record_text(r), r.head, NULL
  LOOP
    answered := answered || a."at";
    RETURN NEXT a;
  END LOOP;
  IF cardinality(answered) < whole_length THEN
    RETURN QUERY SELECT q."at", CASE
        WHEN r.format <> 1 THEN refuse_format(r)
        WHEN r.attempt_id = q.attempt_id AND r.state = q.kind AND r.outcome_digest = q.digest THEN 'already'
        ELSE 'fenced' END, now_ms, r.fence, CASE WHEN r.id IS NOT NULL THEN record_text(r) END, r.head, NULL::bytea
      FROM json_populate_recordset(NULL::settlement, whole) q LEFT JOIN records r ON r.id = ANY (ARRAY[q.id])
      WHERE q."at" <> ALL (answered);
  END IF;
  FOR ask IN SELECT * FROM json_populate_recordset(NULL::settlement, others) q ORDER BY q.id, q."at" LOOP
    a := settle_one(ask, blob);
    RETURN NEXT a;
  END LOOP;
END $$;

CREATE FUNCTION settle_one(ask settlement, blob bytea) RETURNS answer LANGUAGE plpgsql AS $$
DECLARE
  now_ms bigint;
  kind text := 'recorded';
  r records;
BEGIN
  SELECT * INTO r FROM records WHERE id = ask.id FOR UPDATE;
  now_ms := clock_us() / 1000;
  IF r.format <> 1 THEN PERFORM refuse_format(r); END IF;
  IF r.attempt_id IS DISTINCT FROM ask.attempt_id THEN kind := 'fenced';
  ELSIF r.state = ask.kind AND r.outcome_digest = ask.digest THEN kind := 'already';
  ELSIF r.state NOT IN ('running', 'unknown') THEN kind := 'fenced';
  ELSE
    CASE ask.kind
      WHEN 'dispatched' THEN
        IF r.state <> 'running' THEN kind := 'fenced';
        ELSIF r.dispatched THEN kind := 'already';
        ELSE UPDATE records SET dispatched = true WHERE id = r.id RETURNING * INTO r;
        END IF;
      WHEN 'head' THEN
        IF r.dropped THEN kind := 'fenced';
        ELSE
          UPDATE records SET head = substring(blob FROM ask.head_at FOR ask.head_length) WHERE id = r.id RETURNING * INTO r;
        END IF;
      WHEN 'dropped' THEN
        PERFORM drop_chunks(r);
        UPDATE records SET dropped = true, body_length = 0 WHERE id = r.id RETURNING * INTO r;
      WHEN 'released' THEN r := release(r, now_ms, ask.retry_after_ms, ask.digest);
      WHEN 'unknown' THEN r := abandon(r, now_ms, ask.digest);
      WHEN 'completed' THEN
        IF ask.outcome = 'omitted' THEN
          PERFORM drop_chunks(r);
          r.body_length := 0;
        ELSIF r.dropped OR r.body_length <> ask.rest_offset THEN kind := 'fenced';
        END IF;
        IF kind = 'recorded' THEN
          r := complete(r, now_ms, ask.outcome, substring(blob FROM ask.head_at FOR ask.head_length), ask.digest,
                        substring(blob FROM ask.rest_at FOR ask.rest_length));
        END IF;
    END CASE;
  END IF;
  RETURN answered(ask."at", kind, now_ms, r);
END $$;

CREATE TYPE resolution AS (
  "at" int, id text COLLATE "C", expected text, fresh text, target text, outcome text,
  head_at int, head_length int, body_at int, body_length int
);

CREATE FUNCTION resolve(resolutions json, blob bytea, durable boolean) RETURNS SETOF answer LANGUAGE plpgsql
  SET search_path FROM CURRENT SET lock_timeout = '1500ms' SET enable_seqscan = off AS $$
DECLARE
  ask resolution;
  now_ms bigint;
  kind text;
  r records;
BEGIN
  IF durable AND current_setting('synchronous_commit') = 'off' THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
  FOR ask IN SELECT * FROM json_populate_recordset(NULL::resolution, resolutions) q ORDER BY q.id, q."at" LOOP
    SELECT * INTO r FROM records WHERE id = ask.id FOR UPDATE;
    now_ms := clock_us() / 1000;
    IF r.format <> 1 THEN PERFORM refuse_format(r); END IF;
    IF r.attempt_id = ask.fresh THEN kind := 'already';
    ELSIF r.id IS NULL OR r.state NOT IN ('running', 'unknown') OR r.attempt_id <> ask.expected THEN kind := 'fenced';
    ELSE
      kind := 'recorded';
      PERFORM drop_chunks(r);
      UPDATE records SET attempt_id = ask.fresh, resolved = true, dropped = false, body_length = 0
        WHERE id = r.id RETURNING * INTO r;
      IF ask.target = 'released' OR ask.outcome IS NULL THEN r := release(r, now_ms, 0, '');
      ELSE
        r := complete(r, now_ms, ask.outcome, substring(blob FROM ask.head_at FOR ask.head_length), '',
                      substring(blob FROM ask.body_at FOR ask.body_length));
      END IF;
    END IF;
    RETURN NEXT answered(ask."at", kind, now_ms, r);
  END LOOP;
END $$;
`
