"""Watches on what answers relied on, and the notices that portals are sent.

Revision ID: 0008_watches
Revises: 0007_conflicts
"""

from alembic import op

revision = "0008_watches"
down_revision = "0007_conflicts"
branch_labels = None
depends_on = None

UP = """
-- One row per person looked at. No foreign keys: the answer is inserted in the same transaction, and this is
-- the path on which a portal waits.
CREATE TABLE verification.watch (
    answer_id    uuid        NOT NULL,
    thing        bytea       NOT NULL CHECK (octet_length(thing) = 32),
    datasets     text[]      NOT NULL,
    seen_from    xid8        NOT NULL,
    until        timestamptz NOT NULL,
    transaction  xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (answer_id, thing)
);
CREATE INDEX watch_thing ON verification.watch (thing);
CREATE INDEX watch_new ON verification.watch (transaction);
CREATE INDEX watch_until ON verification.watch USING brin (until);
COMMENT ON TABLE verification.watch IS
    'What an answer relied on (keyed tag, datasets), from which transaction on changes count, until when';

CREATE TABLE verification.matching (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    position    pg_snapshot NOT NULL,
    matched_at  timestamptz NOT NULL
);
INSERT INTO verification.matching (position, matched_at) VALUES (pg_current_snapshot(), '-infinity');
COMMENT ON TABLE verification.matching IS 'The snapshot up to which changes were matched with watches';

CREATE TABLE verification.signal (
    signal_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction  xid8        NOT NULL DEFAULT pg_current_xact_id(),
    dataset_id   text        NOT NULL,
    thing        bytea       NOT NULL,
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX signal_position ON verification.signal (transaction);
COMMENT ON TABLE verification.signal IS
    'What changes an answer besides records: a published batch left rows about somebody in quarantine, or
     such rows were settled';

CREATE FUNCTION verification.signal_quarantine() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO verification.signal (dataset_id, thing)
    SELECT DISTINCT t.dataset_id, t.tag
      FROM quality.quarantine_row r JOIN quality.quarantine_tag t USING (row_id)
     WHERE r.batch_id = NEW.batch_id AND r.state = 'open';
    RETURN NULL;
END $$;
CREATE TRIGGER signal_quarantine AFTER UPDATE OF status ON records.batch
    FOR EACH ROW WHEN (NEW.status = 'published' AND OLD.status <> 'published')
    EXECUTE FUNCTION verification.signal_quarantine();

CREATE FUNCTION verification.signal_settled() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO verification.signal (dataset_id, thing) SELECT DISTINCT dataset_id, tag FROM settled;
    RETURN NULL;
END $$;
CREATE TRIGGER signal_settled AFTER DELETE ON quality.quarantine_tag
    REFERENCING OLD TABLE AS settled FOR EACH STATEMENT
    EXECUTE FUNCTION verification.signal_settled();
REVOKE ALL ON FUNCTION verification.signal_quarantine, verification.signal_settled FROM PUBLIC;

CREATE TABLE verification.review (
    review_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    answer_id  uuid        NOT NULL,
    datasets   text[]      NOT NULL,
    found_at   timestamptz NOT NULL,
    due_at     timestamptz NOT NULL,
    attempts   integer     NOT NULL DEFAULT 0
);
CREATE INDEX review_due ON verification.review (due_at, review_id);
COMMENT ON TABLE verification.review IS 'Answers that wait to be verified again';

CREATE TABLE verification.webhook (
    system         text        PRIMARY KEY REFERENCES participants.system,
    url            text        NOT NULL CHECK (url ~ '^https://'),
    ca_pem         text,
    status         text        NOT NULL CHECK (status IN ('pending', 'active', 'paused')),
    reason         text,
    registered_by  text        NOT NULL,
    approved_by    text,
    changed_at     timestamptz NOT NULL,
    CHECK (status = 'pending' OR approved_by IS NOT NULL)
);

-- An address is never called by the word of the process that registers it: whoever writes an address, its
-- standing is made here. Only a role that may write `approved_by` (the steward's) makes it active otherwise,
-- and ends a pause.
CREATE FUNCTION verification.webhook_authority(address text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = '' AS $$
    SELECT (m)[1] || ':' || coalesce((m)[2]::int, 443)
      FROM regexp_match(
          lower(address), '^https://([[][0-9a-f:.]+[]]|[^][/:?#@]+)(?::([0-9]{1,5}))?(?:[/?#]|$)') m
$$;
CREATE FUNCTION verification.webhook_registered() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.status = 'paused' THEN
        RETURN NEW;
    END IF;
    NEW.reason := NULL;
    IF verification.webhook_authority(NEW.url) = (
        SELECT verification.webhook_authority(s.endpoint_url) FROM participants.system s
         WHERE s.system_id = NEW.system)
    THEN
        NEW.status := 'active';
        NEW.approved_by := 'registered-endpoint';
    ELSE
        NEW.status := 'pending';
        NEW.approved_by := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER webhook_registered BEFORE INSERT OR UPDATE OF system, url, ca_pem ON verification.webhook
    FOR EACH ROW EXECUTE FUNCTION verification.webhook_registered();

CREATE FUNCTION verification.webhook_guarded() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF has_column_privilege(current_user, 'verification.webhook', 'approved_by', 'UPDATE') THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'DELETE' AND OLD.status = 'paused' THEN
        RAISE EXCEPTION 'only a steward ends a pause' USING ERRCODE = 'insufficient_privilege';
    ELSIF TG_OP = 'DELETE' THEN
        RETURN OLD;
    ELSIF NEW.status = 'active' AND OLD.status <> 'active' THEN
        RAISE EXCEPTION 'only a steward approves an address' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER webhook_guarded BEFORE UPDATE OF status OR DELETE ON verification.webhook
    FOR EACH ROW EXECUTE FUNCTION verification.webhook_guarded();

CREATE TABLE verification.notice_stream (
    system  text   PRIMARY KEY,
    last    bigint NOT NULL CHECK (last > 0)
);
COMMENT ON TABLE verification.notice_stream IS
    'The last number given to a notice of a system; its row lock makes numbers commit in their order';

CREATE TABLE verification.notice (
    notice_id     uuid        PRIMARY KEY,
    system        text        NOT NULL,
    consumer      text        NOT NULL,
    purpose       text        NOT NULL,
    needs_consent boolean     NOT NULL,
    subject       uuid        NOT NULL,
    number        bigint      NOT NULL,
    application   bytea       NOT NULL CHECK (octet_length(application) = 32),
    answer_id     uuid        NOT NULL UNIQUE REFERENCES verification.answer,
    review_id     uuid        NOT NULL UNIQUE REFERENCES verification.answer,
    service       text        NOT NULL,
    sealed        bytea       NOT NULL,
    found_at      timestamptz NOT NULL,
    queued_at     timestamptz NOT NULL,
    until         timestamptz NOT NULL,
    state         text        NOT NULL
                      CHECK (state IN ('queued', 'delivered', 'dead', 'dropped', 'discarded')),
    due_at        timestamptz NOT NULL,
    attempts      integer     NOT NULL DEFAULT 0,
    last_error    text,
    is_logged     boolean     NOT NULL DEFAULT false,
    ended_at      timestamptz,
    UNIQUE (system, number),
    CHECK ((state = 'queued') = (ended_at IS NULL))
);
CREATE INDEX notice_queue ON verification.notice (due_at) WHERE state = 'queued';
CREATE INDEX notice_order ON verification.notice (system, application, number)
    WHERE state IN ('queued', 'dead');
CREATE INDEX notice_consent ON verification.notice (subject, consumer, purpose) WHERE state = 'queued';
COMMENT ON TABLE verification.notice IS 'What portals are told: in order per application, at least once';

-- Lets go of what leads from a person's keyed tag to answers about them; only for an erasure that has begun.
CREATE FUNCTION verification.forget_person(request uuid, handle uuid, person_tag bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    given uuid[] := ARRAY(SELECT answer_id FROM verification.answer WHERE subject = handle OR other = handle);
BEGIN
    IF NOT EXISTS (SELECT FROM audit.erasure e WHERE e.request_id = request AND e.state = 'erasing') THEN
        RAISE insufficient_privilege USING MESSAGE = 'no erasure has begun';
    END IF;
    DELETE FROM verification.watch WHERE thing = person_tag OR answer_id = ANY (given);
    DELETE FROM verification.review WHERE answer_id = ANY (given);
    DELETE FROM verification.signal WHERE thing = person_tag;
    DELETE FROM verification.idempotency WHERE answer_id = ANY (given);
END $$;
REVOKE ALL ON FUNCTION verification.forget_person FROM PUBLIC;
GRANT EXECUTE ON FUNCTION verification.forget_person TO lintas_steward;

GRANT INSERT ON verification.watch TO lintas_api;
GRANT SELECT ON verification.notice TO lintas_api, lintas_steward;
GRANT SELECT, DELETE ON verification.webhook TO lintas_api, lintas_steward;
GRANT INSERT (system, url, ca_pem, registered_by, changed_at),
    UPDATE (url, ca_pem, registered_by, changed_at) ON verification.webhook TO lintas_api, lintas_steward;
GRANT UPDATE (status, reason, approved_by) ON verification.webhook TO lintas_steward;
GRANT EXECUTE ON FUNCTION verification.webhook_authority TO lintas_api, lintas_steward;
GRANT UPDATE (state, due_at, attempts, ended_at, last_error, is_logged) ON verification.notice
    TO lintas_steward;
GRANT SELECT ON verification.review TO lintas_steward, lintas_auditor;
GRANT SELECT (notice_id, system, consumer, purpose, number, answer_id, review_id, service, found_at,
    queued_at, state, due_at, attempts, last_error, ended_at) ON verification.notice TO lintas_auditor;
GRANT SELECT (system, url, status, reason, registered_by, approved_by, changed_at) ON verification.webhook
    TO lintas_auditor;

-- The dispatcher answers again as the API answered: it reads what the API reads, and writes what follows.
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('participants', 'consent', 'records', 'identity', 'quality')
           AND c.relkind IN ('r', 'v', 'p') AND has_table_privilege('lintas_api', c.oid, 'SELECT')
    LOOP
        EXECUTE 'GRANT SELECT ON ' || each.oid::regclass || ' TO lintas_dispatcher';
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA participants, consent, records, identity, quality, audit, verification
    TO lintas_dispatcher;
GRANT INSERT ON audit.outbox, audit.sealed, audit.subject_index TO lintas_dispatcher;
GRANT SELECT, INSERT ON verification.answer TO lintas_dispatcher;
GRANT INSERT ON verification.referral TO lintas_dispatcher;
GRANT SELECT, INSERT, UPDATE, DELETE ON verification.watch, verification.review TO lintas_dispatcher;
GRANT SELECT, UPDATE ON verification.matching TO lintas_dispatcher;
GRANT SELECT, DELETE ON verification.signal TO lintas_dispatcher;
GRANT SELECT, UPDATE (status, reason, changed_at) ON verification.webhook TO lintas_dispatcher;
GRANT SELECT, INSERT, UPDATE ON verification.notice_stream TO lintas_dispatcher;
GRANT SELECT, INSERT, UPDATE (state, due_at, attempts, last_error, is_logged, ended_at)
    ON verification.notice
    TO lintas_dispatcher;
"""

DOWN = """
DROP TRIGGER signal_quarantine ON records.batch;
DROP TRIGGER signal_settled ON quality.quarantine_tag;
DROP FUNCTION verification.signal_quarantine, verification.signal_settled, verification.forget_person;
DROP TABLE verification.notice, verification.notice_stream, verification.webhook, verification.review,
    verification.signal, verification.matching, verification.watch;
DROP FUNCTION verification.webhook_registered, verification.webhook_guarded, verification.webhook_authority;
REVOKE ALL ON ALL TABLES IN SCHEMA participants, consent, records, identity, quality, audit, verification
    FROM lintas_dispatcher;
REVOKE ALL ON SCHEMA participants, consent, records, identity, quality, audit, verification
    FROM lintas_dispatcher;
"""


def upgrade() -> None:
    """Make the tables."""
    op.get_bind().exec_driver_sql(UP)


def downgrade() -> None:
    """Take them away."""
    op.get_bind().exec_driver_sql(DOWN)
