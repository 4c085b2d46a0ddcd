/** Migration 1: sweep, the mirror of the reducer's `sweep` (T4, T10, T11, T13), for many records at once. */

/**
 * Rows that somebody works on are passed over (`SKIP LOCKED`), so that a sweep waits for nobody, and several at once take
 * different rows. The steps share one limit; what runs is looked at last, for it takes a walk over all that runs.
 */
export const sweep: string = `
CREATE FUNCTION sweep(most int, skew_ms bigint)
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
    UPDATE records r SET state = 'expired', head = NULL, body = NULL, body_length = 0 FROM due WHERE r.id = ANY (ARRAY[due.id])
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
  DELETE FROM keyless_lists WHERE id = ANY (ARRAY(
    SELECT l.id FROM keyless_lists l WHERE l.expires_at < now_ms ORDER BY l.expires_at LIMIT most FOR UPDATE SKIP LOCKED
  ));
  GET DIAGNOSTICS lists = ROW_COUNT;
  more := purged + expired + abandoned + released >= most OR lists >= most;
  RETURN NEXT;
END $$;
`
