/** Migration 1: append and read_body, the mirror of the reducer's `append`. */

/** The chunk is inserted while the record's row is locked, so that two writers never leave a gap or an overlap. */
export const body: string = `
CREATE TYPE addition AS ("at" int, id text COLLATE "C", attempt_id text, start bigint, bytes_at int, bytes_length int);

CREATE FUNCTION append(additions json, blob bytea) RETURNS TABLE ("at" int, kind text) LANGUAGE plpgsql
  SET search_path FROM CURRENT SET lock_timeout = '1500ms' SET enable_seqscan = off AS $$
DECLARE
  ask addition;
  r records;
  bytes bytea;
BEGIN
  FOR ask IN SELECT * FROM json_populate_recordset(NULL::addition, additions) q ORDER BY q.id, q."at" LOOP
    SELECT * INTO r FROM records WHERE id = ask.id FOR UPDATE;
    bytes := substring(blob FROM ask.bytes_at FOR ask.bytes_length);
    IF r.format <> 1 THEN PERFORM refuse_format(r); END IF;
    "at" := ask."at";
    kind := 'refused';
    IF r.attempt_id IS DISTINCT FROM ask.attempt_id OR r.dropped THEN NULL;
    ELSIF ask.start + ask.bytes_length <= r.body_length THEN
      IF body_between(r, ask.start, ask.bytes_length) = bytes THEN kind := 'already'; END IF;
    ELSIF r.state IN ('running', 'unknown') AND ask.start = r.body_length THEN
      PERFORM put_chunks(r.id, r.attempt_id, ask.start, bytes);
      UPDATE records SET body_length = ask.start + ask.bytes_length WHERE id = r.id;
      kind := 'appended';
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;

-- At most about 1 MiB of one attempt's body; no row where the record is not this attempt's.
CREATE FUNCTION read_body(id text, attempt_id text, start bigint) RETURNS TABLE (piece bytea) LANGUAGE plpgsql
  SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
  r records;
BEGIN
  SELECT * INTO r FROM records WHERE records.id = read_body.id;
  IF r.format <> 1 THEN PERFORM refuse_format(r); END IF;
  IF r.attempt_id = read_body.attempt_id THEN RETURN QUERY SELECT body_between(r, start, 1048576); END IF;
END $$;
`
