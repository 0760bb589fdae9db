"""Erasure of persons from the log's personal part."""

from alembic import op

revision = "0010_erasure"
down_revision = "0009_witnesses"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE audit.erasure (
    request_id   uuid        PRIMARY KEY,
    subject      uuid,
    index_key    bytea,
    ground       text        NOT NULL CHECK (ground IN ('no-longer-needed', 'consent-withdrawn',
                     'subject-request', 'unlawful-processing', 'retention-ended')),
    state        text        NOT NULL DEFAULT 'requested'
                     CHECK (state IN ('requested', 'approved', 'erasing', 'erased', 'rejected')),
    requested_by text        NOT NULL,
    requested_at timestamptz NOT NULL,
    decided_by   text,
    decided_at   timestamptz,
    ended_at     timestamptz,
    records      bigint      NOT NULL DEFAULT 0,
    CHECK ((state = 'requested') = (decided_by IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CONSTRAINT two_officers CHECK (state IN ('requested', 'rejected') OR decided_by <> requested_by),
    CONSTRAINT whom_only_while_open CHECK ((state IN ('erased', 'rejected')) = (subject IS NULL)),
    CHECK ((state = 'erasing') = (index_key IS NOT NULL)),
    CHECK ((state IN ('erased', 'rejected')) = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX erasure_open ON audit.erasure (subject) WHERE subject IS NOT NULL;
COMMENT ON TABLE audit.erasure IS 'Requests that a person be erased; once ended they say no longer whom';

CREATE TABLE audit.legal_hold (
    hold_id      uuid        PRIMARY KEY,
    subject      uuid,
    ground       text        NOT NULL,
    placed_by    text        NOT NULL,
    placed_at    timestamptz NOT NULL,
    released_by  text,
    released_at  timestamptz,
    CHECK ((released_by IS NULL) = (released_at IS NULL)),
    CHECK (subject IS NOT NULL OR released_at IS NOT NULL)
);
CREATE INDEX legal_hold_open ON audit.legal_hold (subject) WHERE released_at IS NULL;
COMMENT ON TABLE audit.legal_hold IS 'While one is open, nobody erases the person';

CREATE TABLE audit.suppression (
    tag bytea PRIMARY KEY CHECK (octet_length(tag) = 32)
);
COMMENT ON TABLE audit.suppression IS
    'Keyed tags of persons who were erased, so that no sync brings them back; nothing stands beside them';

CREATE TABLE audit.suppression_lift (
    lift_id      uuid        PRIMARY KEY,
    tag          bytea       CHECK (octet_length(tag) = 32),
    ground       text        NOT NULL
                     CHECK (ground IN ('new-consent', 'legal-obligation', 'public-task', 'erased-in-error')),
    state        text        NOT NULL DEFAULT 'requested'
                     CHECK (state IN ('requested', 'lifted', 'rejected')),
    requested_by text        NOT NULL,
    requested_at timestamptz NOT NULL,
    decided_by   text,
    decided_at   timestamptz,
    CONSTRAINT whom_only_while_asked CHECK ((state = 'requested') = (tag IS NOT NULL)),
    CHECK ((state = 'requested') = (decided_by IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CONSTRAINT two_officers_lift CHECK (state <> 'lifted' OR decided_by <> requested_by)
);
CREATE UNIQUE INDEX suppression_lift_open ON audit.suppression_lift (tag) WHERE tag IS NOT NULL;
COMMENT ON TABLE audit.suppression_lift IS
    'Requests that somebody who was erased may be taken in again; once decided they say no longer whom';

-- What kind of agency an officer is a steward of now; null for who is no steward, and at no real moment.
CREATE FUNCTION audit.steward_of(who text, at timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.kind FROM participants.officer o JOIN participants.agency a USING (agency_id)
      JOIN participants.officer_role r USING (officer_id)
     WHERE o.pseudonym = who AND a.status = 'active' AND r.role = 'steward' AND isfinite(at)
       AND r.valid_from <= greatest(at, clock_timestamp())
       AND (r.valid_to IS NULL OR r.valid_to > clock_timestamp()) LIMIT 1
$$;
REVOKE ALL ON FUNCTION audit.steward_of FROM PUBLIC;

-- A suppression goes only when two stewards want it, one of them the operator's; nobody else removes any.
CREATE FUNCTION audit.lift_suppression(wanted uuid, approver text, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked audit.suppression_lift;
BEGIN
    SELECT * INTO asked FROM audit.suppression_lift WHERE lift_id = wanted AND state = 'requested' FOR UPDATE;
    IF NOT FOUND OR asked.requested_by = approver
       OR audit.steward_of(asked.requested_by, at) IS NULL OR audit.steward_of(approver, at) IS NULL
       OR 'operator' NOT IN (audit.steward_of(asked.requested_by, at), audit.steward_of(approver, at)) THEN
        RAISE insufficient_privilege USING MESSAGE = 'two stewards are needed, one of them the operator''s';
    END IF;
    DELETE FROM audit.suppression WHERE tag = asked.tag;
    UPDATE audit.suppression_lift SET state = 'lifted', tag = NULL, decided_by = approver, decided_at = at
     WHERE lift_id = wanted;
END $$;
REVOKE ALL ON FUNCTION audit.lift_suppression FROM PUBLIC;

-- Index rows go only with an erasure that has begun; nobody else may remove any.
CREATE FUNCTION audit.forget_index(request uuid) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH gone AS (
        DELETE FROM audit.subject_index i USING audit.erasure e
         WHERE e.request_id = request AND e.state = 'erasing' AND i.index_key = e.index_key
        RETURNING 1)
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION audit.forget_index FROM PUBLIC;

GRANT SELECT ON audit.erasure, audit.legal_hold TO lintas_steward;
GRANT INSERT (request_id, subject, ground, requested_by, requested_at) ON audit.erasure TO lintas_steward;
GRANT UPDATE (subject, index_key, state, decided_by, decided_at, ended_at, records)
    ON audit.erasure TO lintas_steward;
GRANT INSERT (hold_id, subject, ground, placed_by, placed_at) ON audit.legal_hold TO lintas_steward;
GRANT UPDATE (subject, released_by, released_at) ON audit.legal_hold TO lintas_steward;
GRANT SELECT (request_id, ground, state, requested_by, requested_at, decided_by, decided_at, ended_at)
    ON audit.erasure TO lintas_auditor;
GRANT SELECT (hold_id, ground, placed_by, placed_at, released_by, released_at) ON audit.legal_hold
    TO lintas_auditor;
GRANT SELECT ON audit.suppression TO lintas_steward, lintas_api, lintas_ingest, lintas_dispatcher;
GRANT INSERT ON audit.suppression TO lintas_steward;
GRANT EXECUTE ON FUNCTION audit.forget_index, audit.lift_suppression TO lintas_steward;
GRANT SELECT, INSERT (lift_id, tag, ground, requested_by, requested_at) ON audit.suppression_lift
    TO lintas_steward;
GRANT UPDATE (tag, state, decided_by, decided_at) ON audit.suppression_lift TO lintas_steward;
GRANT SELECT (lift_id, ground, state, requested_by, requested_at, decided_by, decided_at)
    ON audit.suppression_lift TO lintas_auditor;
GRANT SELECT (kind, occurred_at) ON audit.outbox TO lintas_steward;
"""

_DOWN = """
REVOKE SELECT (kind, occurred_at) ON audit.outbox FROM lintas_steward;
DROP FUNCTION audit.forget_index, audit.lift_suppression, audit.steward_of;
DROP TABLE audit.suppression_lift, audit.suppression, audit.legal_hold, audit.erasure;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
