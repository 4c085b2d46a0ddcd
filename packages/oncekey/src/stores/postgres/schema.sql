-- The schema, as `migrate` makes it. Written by a test: npx vitest run packages/oncekey/test/stores/postgres.test.ts -u

CREATE SCHEMA oncekey;

CREATE TYPE oncekey.addition AS (
	at integer,
	id text COLLATE pg_catalog."C",
	attempt_id text,
	start bigint,
	bytes_at integer,
	bytes_length integer
);

CREATE TYPE oncekey.answer AS (
	at integer,
	kind text,
	now_ms bigint,
	fence bigint,
	record text,
	head bytea,
	body bytea
);

CREATE TYPE oncekey.claim_request AS (
	at integer,
	id text COLLATE pg_catalog."C",
	attempt_id text,
	fingerprint text,
	raw_fingerprint text,
	on_abandoned text,
	lease_ms bigint,
	skew_ms bigint,
	retention_ms bigint,
	tombstone_ms bigint
);

CREATE TYPE oncekey.keyless_request AS (
	at integer,
	list_id text COLLATE pg_catalog."C",
	kind text,
	record_id text,
	count bigint,
	window_ms bigint,
	skew_ms bigint
);

CREATE TYPE oncekey.purge_request AS (
	at integer,
	id text COLLATE pg_catalog."C",
	expected text
);

CREATE TYPE oncekey.renewal AS (
	at integer,
	id text COLLATE pg_catalog."C",
	attempt_id text,
	lease_ms bigint
);

CREATE TYPE oncekey.resolution AS (
	at integer,
	id text COLLATE pg_catalog."C",
	expected text,
	fresh text,
	target text,
	outcome text,
	head_at integer,
	head_length integer,
	body_at integer,
	body_length integer
);

CREATE TYPE oncekey.settlement AS (
	at integer,
	id text COLLATE pg_catalog."C",
	attempt_id text,
	kind text,
	outcome text,
	digest text,
	retry_after_ms bigint,
	head_at integer,
	head_length integer,
	rest_offset bigint,
	rest_at integer,
	rest_length integer,
	name text
);

CREATE TABLE oncekey.records (
    fence bigint NOT NULL,
    lease_until bigint NOT NULL,
    body_length bigint DEFAULT 0 NOT NULL,
    retry_at bigint DEFAULT 0 NOT NULL,
    created_at bigint NOT NULL,
    settled_at bigint DEFAULT 0 NOT NULL,
    outcome_expires_at bigint DEFAULT 0 NOT NULL,
    tombstone_expires_at bigint DEFAULT 0 NOT NULL,
    retention_ms bigint NOT NULL,
    tombstone_ms bigint NOT NULL,
    sweep_at bigint GENERATED ALWAYS AS (
CASE
    WHEN (state = ANY (ARRAY['completed'::text, 'unknown'::text])) THEN outcome_expires_at
    WHEN (state <> 'running'::text) THEN tombstone_expires_at
    ELSE NULL::bigint
END) STORED,
    attempt integer NOT NULL,
    format smallint DEFAULT 1 NOT NULL,
    dispatched boolean DEFAULT false NOT NULL,
    dropped boolean DEFAULT false NOT NULL,
    recovering boolean DEFAULT false NOT NULL,
    resolved boolean DEFAULT false NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    attempt_id text NOT NULL COLLATE pg_catalog."C",
    state text DEFAULT 'running'::text NOT NULL COLLATE pg_catalog."C",
    on_abandoned text NOT NULL COLLATE pg_catalog."C",
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    raw_fingerprint text NOT NULL COLLATE pg_catalog."C",
    outcome text COLLATE pg_catalog."C",
    outcome_digest text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    head bytea,
    body bytea,
    steps boolean DEFAULT false NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_analyze_scale_factor='0.1');
ALTER TABLE ONLY oncekey.records ALTER COLUMN head SET STORAGE EXTERNAL;
ALTER TABLE ONLY oncekey.records ALTER COLUMN body SET STORAGE EXTERNAL;

COMMENT ON COLUMN oncekey.records.sweep_at IS 'When the sweeper has something to do; null while the record runs.';

COMMENT ON COLUMN oncekey.records.body IS 'The whole body, when it came with the settle and is small; else it is in chunks.';

CREATE FUNCTION oncekey.abandon(r oncekey.records, now_ms bigint, digest text) RETURNS oncekey.records
    LANGUAGE sql
    AS $$
  UPDATE records SET state = 'unknown', outcome_digest = coalesce(digest, outcome_digest),
    settled_at = now_ms, outcome_expires_at = now_ms + retention_ms,
    tombstone_expires_at = now_ms + retention_ms + tombstone_ms
  WHERE id = r.id RETURNING *
$$;

CREATE FUNCTION oncekey.answered(at integer, kind text, now_ms bigint, r oncekey.records) RETURNS oncekey.answer
    LANGUAGE sql STABLE
    AS $$
  SELECT ROW("at", kind, now_ms, r.fence, CASE WHEN r.id IS NOT NULL THEN record_text(r) END, r.head,
             CASE kind WHEN 'held' THEN small_body(r) END)::answer
$$;

CREATE FUNCTION oncekey.append(additions json, blob bytea) RETURNS TABLE(at integer, kind text)
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET lock_timeout TO '1500ms'
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION oncekey.body_between(r oncekey.records, start bigint, most bigint) RETURNS bytea
    LANGUAGE plpgsql STABLE
    AS $$
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

CREATE FUNCTION oncekey.claim(requests json, repeated json, durable boolean) RETURNS SETOF oncekey.answer
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET lock_timeout TO '1500ms'
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION oncekey.claim_later(ask oncekey.claim_request, now_us bigint, first_fence bigint) RETURNS oncekey.answer
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION oncekey.claim_verdict(r oncekey.records, ask oncekey.claim_request, now_ms bigint) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
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

CREATE FUNCTION oncekey.clock_us() RETURNS bigint
    LANGUAGE sql
    AS $$SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint$$;

CREATE FUNCTION oncekey.complete(r oncekey.records, now_ms bigint, how text, new_head bytea, digest text, rest bytea) RETURNS oncekey.records
    LANGUAGE plpgsql
    AS $$
DECLARE
  inline CONSTANT boolean := r.body_length = 0 AND length(rest) <= 262144;
BEGIN
  IF NOT inline THEN PERFORM put_chunks(r.id, r.attempt_id, r.body_length, rest); END IF;
  PERFORM drop_steps(r);
  UPDATE records SET steps = false, state = 'completed', head = new_head, outcome = how, outcome_digest = digest,
    body = CASE WHEN inline AND length(rest) > 0 THEN rest END, body_length = r.body_length + length(rest),
    settled_at = now_ms, outcome_expires_at = now_ms + retention_ms,
    tombstone_expires_at = now_ms + retention_ms + tombstone_ms
  WHERE id = r.id RETURNING * INTO r;
  RETURN r;
END $$;

CREATE FUNCTION oncekey.drop_chunks(r oncekey.records) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF r.body_length > 0 AND r.body IS NULL THEN DELETE FROM chunks WHERE record_id = r.id; END IF;
END $$;

CREATE FUNCTION oncekey.drop_steps(r oncekey.records) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF r.steps THEN DELETE FROM steps s WHERE s.record_id = r.id; END IF;
END $$;

CREATE FUNCTION oncekey.expire(r oncekey.records) RETURNS oncekey.records
    LANGUAGE sql
    AS $$
  SELECT drop_chunks(r);
  SELECT drop_steps(r);
  UPDATE records SET state = 'expired', head = NULL, body = NULL, body_length = 0, steps = false
  WHERE id = r.id RETURNING *
$$;

CREATE FUNCTION oncekey.grant_again(r oncekey.records, ask oncekey.claim_request, now_us bigint, kind text) RETURNS oncekey.records
    LANGUAGE plpgsql
    AS $$
DECLARE
  now_ms CONSTANT bigint := now_us / 1000;
BEGIN
  PERFORM drop_chunks(r);
  IF kind = 'claim_over' THEN PERFORM drop_steps(r); END IF;
  UPDATE records SET
    steps = records.steps AND kind <> 'claim_over',
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

CREATE FUNCTION oncekey.keyless(requests json) RETURNS TABLE(at integer, found_id text)
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET lock_timeout TO '1500ms'
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION oncekey.meta(name text, if_absent bytea) RETURNS bytea
    LANGUAGE sql
    SET search_path TO 'oncekey', 'pg_temp'
    AS $_$
  SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
  INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING;
  SELECT m.value FROM meta m WHERE m.name = $1;
$_$;

CREATE FUNCTION oncekey.owner_gone(record_id text, skew_ms bigint, now_ms bigint) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
  SELECT EXISTS (SELECT FROM records r WHERE r.id = record_id AND r.state = 'running' AND now_ms > r.lease_until + skew_ms)
$$;

CREATE FUNCTION oncekey.purge(requests json) RETURNS TABLE(at integer, kind text)
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET lock_timeout TO '1500ms'
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION oncekey.put_chunks(id text, attempt_id text, start bigint, bytes bytea) RETURNS void
    LANGUAGE sql
    AS $$
  INSERT INTO chunks (record_id, attempt_id, "offset", bytes)
  SELECT id, attempt_id, start + n, substring(bytes FROM n + 1 FOR 262144)
  FROM generate_series(0, length(bytes) - 1, 262144) n
$$;

CREATE FUNCTION oncekey.read_body(id text, attempt_id text, start bigint) RETURNS TABLE(piece bytea)
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
  r records;
BEGIN
  SELECT * INTO r FROM records WHERE records.id = read_body.id;
  IF r.format <> 1 THEN PERFORM refuse_format(r); END IF;
  IF r.attempt_id = read_body.attempt_id THEN RETURN QUERY SELECT body_between(r, start, 1048576); END IF;
END $$;

CREATE FUNCTION oncekey.record_text(r oncekey.records) RETURNS text
    LANGUAGE sql STABLE
    AS $$
  SELECT concat_ws(e'\x1f', r.state, r.attempt_id, r.fence, r.attempt, r.lease_until, r.on_abandoned, r.dispatched,
    r.dropped, r.recovering, r.resolved, r.fingerprint, r.raw_fingerprint, r.body_length, coalesce(r.outcome, ''),
    r.outcome_digest, r.retry_at, r.created_at, r.settled_at, r.outcome_expires_at, r.tombstone_expires_at,
    r.retention_ms, r.tombstone_ms, r.steps)
$$;

CREATE FUNCTION oncekey.refuse_format(r oncekey.records) RETURNS text
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE 'a record has the format %, which this schema cannot read', r.format USING ERRCODE = 'OK001';
END $$;

CREATE FUNCTION oncekey.release(r oncekey.records, now_ms bigint, retry_after_ms bigint, digest text) RETURNS oncekey.records
    LANGUAGE sql
    AS $$
  SELECT drop_chunks(r);
  UPDATE records SET state = 'released', head = NULL, body = NULL, body_length = 0, dropped = false,
    outcome_digest = digest, retry_at = CASE WHEN retry_after_ms > 0 THEN now_ms + retry_after_ms ELSE 0 END,
    settled_at = now_ms, outcome_expires_at = 0, tombstone_expires_at = now_ms + greatest(retention_ms, retry_after_ms)
  WHERE id = r.id RETURNING *
$$;

CREATE FUNCTION oncekey.renew(renewals json) RETURNS TABLE(at integer, kind text)
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET lock_timeout TO '1500ms'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
  now_ms CONSTANT bigint := clock_us() / 1000;
BEGIN
  RETURN QUERY WITH
    asked AS MATERIALIZED (SELECT * FROM json_populate_recordset(NULL::renewal, renewals) q ORDER BY q.id),
    found AS MATERIALIZED (
      SELECT q."at", q.id, q.lease_ms, CASE
        WHEN r.format <> 1 THEN refuse_format(r)
        WHEN r.attempt_id IS DISTINCT FROM q.attempt_id THEN CASE WHEN r.resolved THEN 'resolved' ELSE 'fenced' END
        WHEN r.state = 'running' THEN 'busy' WHEN r.state = 'unknown' THEN 'unknown'
        ELSE CASE WHEN r.resolved THEN 'resolved' ELSE 'fenced' END END AS kind
      FROM asked q LEFT JOIN records r ON r.id = ANY (ARRAY[q.id])
    ),
    free AS MATERIALIZED (
      SELECT r.id, q."at", q.lease_ms FROM asked q JOIN records r ON r.id = ANY (ARRAY[q.id])
      WHERE r.attempt_id = q.attempt_id AND r.state = 'running' AND r.format = 1 FOR UPDATE OF r SKIP LOCKED
    ),
    done AS (
      UPDATE records r SET lease_until = now_ms + free.lease_ms FROM free WHERE r.id = ANY (ARRAY[free.id]) RETURNING free."at"
    )
    SELECT done."at", 'renewed' FROM done
    UNION ALL
    SELECT found."at", found.kind FROM found WHERE found."at" NOT IN (SELECT done."at" FROM done);
END $$;

CREATE FUNCTION oncekey.renew_one(id text, attempt_id text, lease_ms bigint) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET lock_timeout TO '500ms'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
  r records;
BEGIN
  SELECT * INTO r FROM records WHERE records.id = renew_one.id FOR UPDATE;
  IF r.format <> 1 THEN PERFORM refuse_format(r); END IF;
  IF r.attempt_id = renew_one.attempt_id AND r.state = 'running' THEN
    UPDATE records SET lease_until = clock_us() / 1000 + lease_ms WHERE records.id = r.id;
    RETURN 'renewed';
  END IF;
  IF r.attempt_id = renew_one.attempt_id AND r.state = 'unknown' THEN RETURN 'unknown'; END IF;
  RETURN CASE WHEN r.resolved THEN 'resolved' ELSE 'fenced' END;
END $$;

CREATE FUNCTION oncekey.resolve(resolutions json, blob bytea, durable boolean) RETURNS SETOF oncekey.answer
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET lock_timeout TO '1500ms'
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION oncekey.settle(whole json, others json, blob bytea, durable boolean) RETURNS SETOF oncekey.answer
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET lock_timeout TO '1500ms'
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION oncekey.settle_one(ask oncekey.settlement, blob bytea) RETURNS oncekey.answer
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION oncekey.small_body(r oncekey.records) RETURNS bytea
    LANGUAGE sql STABLE
    AS $$
  SELECT CASE WHEN r.state = 'completed' AND r.body_length <= 262144 THEN
    CASE WHEN r.body IS NOT NULL THEN r.body ELSE body_between(r, 0, 262144) END END
$$;

CREATE FUNCTION oncekey.sweep(most integer, skew_ms bigint) RETURNS TABLE(abandoned integer, expired integer, purged integer, released integer, more boolean)
    LANGUAGE plpgsql
    SET search_path TO 'oncekey', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION oncekey.unexpired(entries jsonb, now_ms bigint) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
  SELECT coalesce(jsonb_agg(entry ORDER BY n), '[]') FROM (
    SELECT entry, n FROM jsonb_array_elements(entries) WITH ORDINALITY e (entry, n)
    WHERE (entry ->> 'expiresAt')::bigint >= now_ms ORDER BY n DESC LIMIT 999
  ) last
$$;

CREATE TABLE oncekey.chunks (
    record_id text NOT NULL COLLATE pg_catalog."C",
    attempt_id text NOT NULL COLLATE pg_catalog."C",
    "offset" bigint NOT NULL,
    bytes bytea NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02');
ALTER TABLE ONLY oncekey.chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE oncekey.fence_floor (
    one boolean DEFAULT true NOT NULL,
    fence bigint NOT NULL,
    CONSTRAINT fence_floor_one_check CHECK (one)
);

CREATE TABLE oncekey.keyless_lists (
    id text NOT NULL COLLATE pg_catalog."C",
    expires_at bigint NOT NULL,
    entries jsonb NOT NULL
);

CREATE TABLE oncekey.meta (
    name text NOT NULL,
    value bytea NOT NULL
);

CREATE TABLE oncekey.migrations (
    id integer NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE oncekey.steps (
    record_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    value bytea NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02');
ALTER TABLE ONLY oncekey.steps ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE TABLE oncekey.tallies (
    name text NOT NULL COLLATE pg_catalog."C",
    writer text NOT NULL COLLATE pg_catalog."C",
    counts jsonb NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE ONLY oncekey.chunks
    ADD CONSTRAINT chunks_pkey PRIMARY KEY (record_id, attempt_id, "offset");

ALTER TABLE ONLY oncekey.fence_floor
    ADD CONSTRAINT fence_floor_pkey PRIMARY KEY (one);

ALTER TABLE ONLY oncekey.keyless_lists
    ADD CONSTRAINT keyless_lists_pkey PRIMARY KEY (id);

ALTER TABLE ONLY oncekey.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);

ALTER TABLE ONLY oncekey.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY oncekey.records
    ADD CONSTRAINT records_pkey PRIMARY KEY (id);

ALTER TABLE ONLY oncekey.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (record_id, name);

ALTER TABLE ONLY oncekey.tallies
    ADD CONSTRAINT tallies_pkey PRIMARY KEY (name, writer);

CREATE INDEX keyless_lists_expires_at ON oncekey.keyless_lists USING btree (expires_at);

CREATE INDEX records_sweep_at ON oncekey.records USING btree (sweep_at);
