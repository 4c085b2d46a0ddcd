/** Migration 3: steps go with what is swept and purged. */

/** In place of those of migration 1. */
export const sweep = `
CREATE OR REPLACE FUNCTION sweep(most int, skew_ms bigint)
  RETURNS TABLE (abandoned int, expired int, purged int, released int, more boolean) LANGUAGE plpgsql
  SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
  now_ms CONSTANT bigint := clock_us() / 1000;
  gone text[];
  highest bigint;
  lists int;
BEGIN
  -- T11. The floor is raised in the same transaction: no claim can see the record gone and the floor as it was (I9).
  WITH due AS MATERIALIZED (
    SELECT id FROM records WHERE sweep_at <= now_ms AND tombstone_expires_at <= now_ms AND format = 1
    ORDER BY sweep_at LIMIT most FOR UPDATE SKIP LOCKED
  ), deleted AS (DELETE FROM records r USING due WHERE r.id = ANY (ARRAY[due.id]) RETURNING r.id, r.fence)
  SELECT array_agg(id), max(fence), count(*) INTO gone, highest, purged FROM deleted;
  UPDATE fence_floor SET fence = highest WHERE one AND fence < highest;

  -- T10.
  WITH due AS MATERIALIZED (
    SELECT id FROM records WHERE sweep_at <= now_ms AND state IN ('completed', 'unknown') AND format = 1
    ORDER BY sweep_at LIMIT most - purged FOR UPDATE SKIP LOCKED
  ), changed AS (
    UPDATE records r SET state = 'expired', head = NULL, body = NULL, body_length = 0, steps = false
    FROM due WHERE r.id = ANY (ARRAY[due.id])
    RETURNING r.id
  )
  SELECT gone || array_agg(id), count(*) INTO gone, expired FROM changed;

  -- T4 and T13.
  WITH due AS MATERIALIZED (
    SELECT records AS entry, on_abandoned = 'unknown' AND dispatched AS stays FROM records
    WHERE sweep_at IS NULL AND format = 1 AND now_ms > lease_until + skew_ms
      AND ((on_abandoned = 'unknown' AND dispatched) OR now_ms > lease_until + retention_ms)
    LIMIT most - purged - expired FOR UPDATE SKIP LOCKED
  ), ended AS MATERIALIZED (
    SELECT stays, CASE WHEN stays THEN abandon(entry, now_ms, NULL) ELSE release(entry, now_ms, 0, '') END FROM due
  )
  SELECT count(*) FILTER (WHERE stays), count(*) FILTER (WHERE NOT stays) INTO abandoned, released FROM ended;

  DELETE FROM chunks WHERE record_id = ANY (gone);
  DELETE FROM steps WHERE record_id = ANY (gone);
  DELETE FROM keyless_lists WHERE id = ANY (ARRAY(
    SELECT l.id FROM keyless_lists l WHERE l.expires_at < now_ms ORDER BY l.expires_at LIMIT most FOR UPDATE SKIP LOCKED
  ));
  GET DIAGNOSTICS lists = ROW_COUNT;
  more := purged + expired + abandoned + released >= most OR lists >= most;
  RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION purge(requests json) RETURNS TABLE ("at" int, kind text) LANGUAGE plpgsql
  SET search_path FROM CURRENT SET lock_timeout = '1500ms' SET enable_seqscan = off AS $$
DECLARE
  ask purge_request;
  r records;
BEGIN
  FOR ask IN SELECT * FROM json_populate_recordset(NULL::purge_request, requests) q ORDER BY q.id, q."at" LOOP
    "at" := ask."at";
    SELECT * INTO r FROM records WHERE id = ask.id FOR UPDATE;
    IF NOT FOUND THEN kind := 'absent';
    ELSIF r.format <> 1 THEN PERFORM refuse_format(r);
    ELSIF r.state = 'running' OR r.attempt_id <> ask.expected THEN kind := 'refused';
    ELSE
      -- In the same transaction: no claim can see the record gone and the floor as it was (I9).
      UPDATE fence_floor SET fence = r.fence WHERE one AND fence < r.fence;
      DELETE FROM chunks WHERE record_id = r.id;
      PERFORM drop_steps(r);
      DELETE FROM records WHERE id = r.id;
      kind := 'purged';
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
`
