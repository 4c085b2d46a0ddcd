/** Migration 3: `settle` keeps steps, and removes them with the outcome (S23); what the version before asks for is answered as before. */

/** In place of those of migration 1. A step is one upsert beside one HOT update of its record, in the loop over what is not whole. */
export const settle = `
CREATE OR REPLACE FUNCTION settle(whole json, others json, blob bytea, durable boolean) RETURNS SETOF answer
  LANGUAGE plpgsql SET search_path FROM CURRENT SET lock_timeout = '1500ms' SET enable_seqscan = off AS $$
DECLARE
  whole_length CONSTANT int := json_array_length(whole);
  others_length CONSTANT int := json_array_length(others);
  now_ms bigint := clock_us() / 1000;
  answered int[] := '{}';
  ids text[];
  stepped int[] := '{}';
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
    -- The last field tells of steps: what has them is rare, and all others pay one look at one character for it.
    IF right(a.record, 1) = 't' THEN
      stepped := stepped || a."at";
      a.record := left(a.record, -1) || 'f';
    END IF;
    RETURN NEXT a;
  END LOOP;
  IF cardinality(stepped) > 0 THEN
    SELECT array_agg(q.id) INTO ids FROM json_populate_recordset(NULL::settlement, whole) q WHERE q."at" = ANY (stepped);
    DELETE FROM steps s WHERE s.record_id = ANY (ids);
    UPDATE records r SET steps = false WHERE r.id = ANY (ids);
  END IF;
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

CREATE OR REPLACE FUNCTION settle_one(ask settlement, blob bytea) RETURNS answer LANGUAGE plpgsql AS $$
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
      WHEN 'step' THEN
        INSERT INTO steps AS s (record_id, name, value)
          VALUES (r.id, ask.name, substring(blob FROM ask.rest_at FOR ask.rest_length))
          ON CONFLICT (record_id, name) DO UPDATE SET value = excluded.value;
        UPDATE records SET steps = true WHERE id = r.id RETURNING * INTO r;
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
`
