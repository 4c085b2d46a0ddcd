/** Migration 1: purge, the mirror of the reducer's `purge`: T11 before its time, by an operator. */

/** In the order of the ids, as every call that locks several rows. Rare, so one by one. */
export const purge: string = `
CREATE TYPE purge_request AS ("at" int, id text COLLATE "C", expected text);

CREATE FUNCTION purge(requests json) RETURNS TABLE ("at" int, kind text) LANGUAGE plpgsql
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
      DELETE FROM records WHERE id = r.id;
      kind := 'purged';
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
`
