/** Migration 3: a cancel of what could resume releases it (T8, S22). */

/** In place of that of migration 2. */
export const resolve = `
CREATE OR REPLACE FUNCTION resolve(resolutions json, blob bytea, durable boolean) RETURNS SETOF answer LANGUAGE plpgsql
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
    ELSIF ask.target = 'cancelled' AND r.attempt_id = ask.expected AND r.state = 'released' AND r.resolved THEN
      kind := 'already';
    ELSIF r.id IS NULL OR r.state NOT IN ('running', 'unknown') OR r.attempt_id <> ask.expected THEN kind := 'fenced';
    ELSIF ask.target = 'cancelled' THEN
      kind := 'fenced';
      IF r.state = 'running' THEN
        kind := 'recorded';
        PERFORM drop_chunks(r);
        UPDATE records SET resolved = true, dropped = false, body_length = 0, head = NULL, body = NULL
          WHERE id = r.id RETURNING * INTO r;
        -- The one keeps its attempt, the other gets a fresh one: cancel in core/reducer.ts says why.
        IF r.on_abandoned IN ('reexecute', 'resume') OR r.on_abandoned = 'unknown' AND NOT r.dispatched THEN
          r := release(r, now_ms, 0, '');
        ELSE
          UPDATE records SET attempt_id = ask.fresh WHERE id = r.id RETURNING * INTO r;
          r := abandon(r, now_ms, NULL);
        END IF;
      END IF;
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
