/** Migration 1: keyless lists, the mirror of core's `keylessStep`, and meta. */

/** One step at a time on a list's row, which is locked; several lists in the order of their ids. */
export const keyless: string = `
CREATE TYPE keyless_request AS (
  "at" int, list_id text COLLATE "C", kind text, record_id text, count bigint, window_ms bigint, skew_ms bigint
);

CREATE FUNCTION keyless(requests json) RETURNS TABLE ("at" int, found_id text) LANGUAGE plpgsql
  SET search_path FROM CURRENT SET lock_timeout = '1500ms' SET enable_seqscan = off AS $$
DECLARE
  now_ms CONSTANT bigint := clock_us() / 1000;
  ask keyless_request;
  list jsonb;
  index text;
BEGIN
  FOR ask IN SELECT * FROM json_populate_recordset(NULL::keyless_request, requests) q ORDER BY q.list_id, q."at" LOOP
    "at" := ask."at";
    found_id := NULL;
    IF ask.kind = 'enter' THEN
      INSERT INTO keyless_lists AS l (id, expires_at, entries) VALUES (ask.list_id, now_ms + ask.window_ms, jsonb_build_array(
        jsonb_build_object('recordId', ask.record_id, 'count', ask.count, 'expiresAt', now_ms + ask.window_ms, 'left', false)))
      ON CONFLICT (id) DO UPDATE SET
        expires_at = greatest(l.expires_at, excluded.expires_at), entries = unexpired(l.entries, now_ms) || excluded.entries;
    ELSE
      SELECT l.entries INTO list FROM keyless_lists l WHERE l.id = ask.list_id FOR UPDATE;
      -- A caller that was adopted from meanwhile no longer speaks for the entry: its count is lower.
      SELECT e.n - 1, e.entry ->> 'recordId' INTO index, found_id
      FROM jsonb_array_elements(list) WITH ORDINALITY e (entry, n)
      WHERE CASE ask.kind
        WHEN 'leave' THEN e.entry ->> 'recordId' = ask.record_id AND (e.entry ->> 'count')::bigint = ask.count
        ELSE (e.entry ->> 'expiresAt')::bigint >= now_ms AND (e.entry ->> 'count')::bigint < ask.count
          AND ((e.entry ->> 'left')::boolean OR owner_gone(e.entry ->> 'recordId', ask.skew_ms, now_ms)) END
      ORDER BY e.n LIMIT 1;
      IF index IS NOT NULL THEN
        UPDATE keyless_lists SET entries = CASE ask.kind
          WHEN 'leave' THEN jsonb_set(list, ARRAY[index, 'left'], 'true')
          ELSE jsonb_set(jsonb_set(list, ARRAY[index, 'left'], 'false'), ARRAY[index, 'count'], to_jsonb(ask.count)) END
        WHERE id = ask.list_id;
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;

-- The entries that can still be adopted, the last 999 of them: with the one that enters a list remembers 1,000.
CREATE FUNCTION unexpired(entries jsonb, now_ms bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_agg(entry ORDER BY n), '[]') FROM (
    SELECT entry, n FROM jsonb_array_elements(entries) WITH ORDINALITY e (entry, n)
    WHERE (entry ->> 'expiresAt')::bigint >= now_ms ORDER BY n DESC LIMIT 999
  ) last
$$;

-- Running with its lease over: its caller cannot have left in a way that anybody could record.
CREATE FUNCTION owner_gone(record_id text, skew_ms bigint, now_ms bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM records r WHERE r.id = record_id AND r.state = 'running' AND now_ms > r.lease_until + skew_ms)
$$;

-- Two statements for the value, for in one the second would not see what another transaction has just inserted (S17).
CREATE FUNCTION meta(name text, if_absent bytea) RETURNS bytea LANGUAGE sql SET search_path FROM CURRENT AS $$
  SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
  INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING;
  SELECT m.value FROM meta m WHERE m.name = $1;
$$;
`
