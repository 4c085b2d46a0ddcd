/** Migration 1: renew, the mirror of the reducer's `renew` (T5). */

/**
 * One statement for all leases of a process, each id once. A row that somebody has locked is passed over and answered
 * `busy`, and its caller asks for it again alone (`renew_one`): a user's transaction that has settled a record and goes
 * on for a while must hold up no other lease. Measured (PostgreSQL 15, arrays of 500): 9 µs a lease.
 */
export const lease: string = `
CREATE TYPE renewal AS ("at" int, id text COLLATE "C", attempt_id text, lease_ms bigint);

CREATE FUNCTION renew(renewals json) RETURNS TABLE ("at" int, kind text) LANGUAGE plpgsql
  SET search_path FROM CURRENT SET lock_timeout = '1500ms' SET enable_seqscan = off AS $$
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

-- One lease, waiting for its row.
CREATE FUNCTION renew_one(id text, attempt_id text, lease_ms bigint) RETURNS text LANGUAGE plpgsql
  SET search_path FROM CURRENT SET lock_timeout = '500ms' SET enable_seqscan = off AS $$
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
`
