"""Batches, page ledger, dataset state, change feed, quarantine, assessments and identity links.

Record tables are not here: `records.tables` makes one per record type when a contract is published.

Revision ID: 0005_records
Revises: 0004_consent
"""

from alembic import op

revision = "0005_records"
down_revision = "0004_consent"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA records;
CREATE SCHEMA staging;
CREATE SCHEMA quality;
CREATE SCHEMA identity;

CREATE SEQUENCE records.record_id CACHE 1000;

CREATE TABLE records.dataset (
    dataset_id        text        PRIMARY KEY,
    agency            text        NOT NULL,
    record_type       text        NOT NULL,
    table_name        text        NOT NULL,
    columns           jsonb       NOT NULL,
    order_columns     jsonb       NOT NULL,
    comparable        jsonb       NOT NULL,
    subject_column    text,
    closed_world      boolean     NOT NULL,
    freshness         interval    NOT NULL,
    mode              text        NOT NULL,
    contract_version  text        NOT NULL,
    contract_hash     text        NOT NULL,
    published_at      timestamptz NOT NULL
);

CREATE TABLE records.batch (
    batch_id          uuid        PRIMARY KEY,
    dataset_id        text        NOT NULL REFERENCES records.dataset,
    kind              text        NOT NULL CHECK (kind IN ('snapshot', 'incremental', 'replay')),
    attempt           integer     NOT NULL CHECK (attempt >= 1),
    status            text        NOT NULL CHECK (status IN
                          ('open', 'assessed', 'released', 'held', 'published', 'rejected', 'failed')),
    run_id            text        NOT NULL,
    decision_id       text        NOT NULL,
    contract_version  text        NOT NULL,
    contract_hash     text        NOT NULL,
    window_since      timestamptz,
    window_until      timestamptz NOT NULL,
    slices            jsonb,
    started_at        timestamptz NOT NULL,
    ended_at          timestamptz,
    released_by       text,
    reason            text,
    report            jsonb
);
CREATE UNIQUE INDEX batch_active ON records.batch (dataset_id)
    WHERE status IN ('open', 'assessed', 'released');
CREATE INDEX batch_dataset ON records.batch (dataset_id, started_at);

CREATE TABLE records.page (
    batch_id        uuid        NOT NULL REFERENCES records.batch,
    slice_id        text        NOT NULL,
    page_no         integer     NOT NULL CHECK (page_no >= 0),
    attempt         integer     NOT NULL,
    token           text,
    token_digest    bytea,
    next_position   bigint      NOT NULL,
    rows_read       integer     NOT NULL,
    rows_accepted   integer     NOT NULL,
    rows_rejected   integer     NOT NULL,
    checksum        numeric     NOT NULL,
    complete        boolean     NOT NULL,
    landed_at       timestamptz NOT NULL,
    PRIMARY KEY (batch_id, slice_id, page_no),
    UNIQUE (batch_id, slice_id, token_digest),
    CHECK (rows_read = rows_accepted + rows_rejected)
);

CREATE TABLE records.dataset_state (
    dataset_id        text        PRIMARY KEY REFERENCES records.dataset,
    cursor            timestamptz,
    source_time       timestamptz NOT NULL,
    batch_id          uuid        NOT NULL,
    contract_version  text        NOT NULL,
    open_records      bigint      NOT NULL,
    published_at      timestamptz NOT NULL
);

CREATE TABLE records.change_feed (
    change_id    bigint  GENERATED ALWAYS AS IDENTITY (CACHE 1000) PRIMARY KEY,
    transaction  xid8    NOT NULL DEFAULT pg_current_xact_id(),
    dataset_id   text    NOT NULL,
    record_id    bigint  NOT NULL,
    action       text    NOT NULL CHECK (action IN
                     ('inserted', 'updated', 'closed', 'contradicted', 'agreed')),
    batch_id     uuid    NOT NULL
);
CREATE INDEX change_feed_position ON records.change_feed (transaction, change_id);

CREATE TABLE quality.quarantine_page (
    batch_id    uuid    NOT NULL,
    slice_id    text    NOT NULL,
    page_no     integer NOT NULL,
    kid         text    NOT NULL,
    sealed_key  bytea   NOT NULL,
    PRIMARY KEY (batch_id, slice_id, page_no)
);

CREATE TABLE quality.quarantine_row (
    row_id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset_id        text        NOT NULL,
    batch_id          uuid        NOT NULL,
    slice_id          text        NOT NULL,
    page_no           integer     NOT NULL,
    position          bigint      NOT NULL,
    contract_version  text        NOT NULL,
    fields            text[]      NOT NULL,
    rules             text[]      NOT NULL,
    errors            jsonb       NOT NULL,
    sealed            bytea       NOT NULL,
    key_tag           bytea,
    state             text        NOT NULL DEFAULT 'open'
                          CHECK (state IN ('open', 'replayed', 'superseded', 'discarded')),
    quarantined_at    timestamptz NOT NULL,
    resolved_at       timestamptz,
    resolved_by       text,
    returned_at       timestamptz,
    returned_by       text,
    UNIQUE (batch_id, slice_id, page_no, position)
);
CREATE INDEX quarantine_row_open ON quality.quarantine_row (dataset_id, batch_id) WHERE state = 'open';

CREATE TABLE quality.quarantine_tag (
    tag         bytea  NOT NULL,
    dataset_id  text   NOT NULL,
    row_id      bigint NOT NULL REFERENCES quality.quarantine_row,
    PRIMARY KEY (tag, dataset_id, row_id)
);
CREATE INDEX quarantine_tag_row ON quality.quarantine_tag (row_id);

CREATE TABLE quality.held_tag (
    tag         bytea NOT NULL,
    dataset_id  text  NOT NULL,
    batch_id    uuid  NOT NULL REFERENCES records.batch,
    PRIMARY KEY (tag, dataset_id, batch_id)
);
CREATE INDEX held_tag_batch ON quality.held_tag (batch_id);

CREATE TABLE quality.assessment (
    batch_id     uuid        PRIMARY KEY REFERENCES records.batch,
    dataset_id   text        NOT NULL,
    outcome      text        NOT NULL CHECK (outcome IN ('pass', 'warn', 'hold', 'reject')),
    findings     jsonb       NOT NULL,
    assessed_at  timestamptz NOT NULL
);

CREATE TABLE quality.score (
    batch_id     uuid        NOT NULL REFERENCES records.batch,
    dataset_id   text        NOT NULL,
    rule         text        NOT NULL,
    dimension    text        NOT NULL,
    severity     text        NOT NULL,
    checked      bigint      NOT NULL,
    failed       bigint      NOT NULL,
    passed       boolean     NOT NULL,
    assessed_at  timestamptz NOT NULL,
    PRIMARY KEY (batch_id, rule)
);
CREATE INDEX score_dataset ON quality.score (dataset_id, dimension, assessed_at);

CREATE TABLE quality.flag (
    record_id   bigint      NOT NULL,
    rule        text        NOT NULL,
    dataset_id  text        NOT NULL,
    batch_id    uuid        NOT NULL,
    flagged_at  timestamptz NOT NULL,
    PRIMARY KEY (record_id, rule)
);
CREATE INDEX flag_dataset ON quality.flag (dataset_id, rule);

CREATE TABLE identity.link (
    link_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_id      bigint      NOT NULL,
    dataset_id     text        NOT NULL,
    subject_id     uuid        NOT NULL,
    recorded_from  timestamptz NOT NULL,
    recorded_to    timestamptz,
    why            text        NOT NULL,
    score          integer     NOT NULL CHECK (score BETWEEN 0 AND 1000),
    made_by        text        NOT NULL,
    ended_by       text,
    ended_why      text,
    CHECK ((recorded_to IS NULL) = (ended_by IS NULL))
);
CREATE UNIQUE INDEX link_open ON identity.link (subject_id, record_id) WHERE recorded_to IS NULL;
CREATE INDEX link_record ON identity.link (record_id);

CREATE TABLE identity.severance (
    subject_id     uuid        NOT NULL,
    record_id      bigint      NOT NULL,
    recorded_from  timestamptz NOT NULL,
    recorded_to    timestamptz,
    why            text        NOT NULL,
    made_by        text        NOT NULL,
    ended_by       text,
    PRIMARY KEY (subject_id, record_id, recorded_from)
);
CREATE UNIQUE INDEX severance_open ON identity.severance (subject_id, record_id) WHERE recorded_to IS NULL;

CREATE TABLE identity.attempt (
    subject_tag   bytea       NOT NULL,
    consumer      text        NOT NULL,
    window_start  timestamptz NOT NULL,
    failures      integer     NOT NULL,
    PRIMARY KEY (subject_tag, consumer)
);
CREATE INDEX attempt_age ON identity.attempt (window_start);

CREATE TABLE identity.consumer_attempt (
    consumer      text        PRIMARY KEY,
    window_start  timestamptz NOT NULL,
    failures      integer     NOT NULL
) WITH (fillfactor = 50);

-- Forgets a few attempts that count no longer; the API itself deletes nothing.
CREATE FUNCTION identity.forget_attempts(until timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    DELETE FROM identity.attempt WHERE (subject_tag, consumer) IN (
        SELECT subject_tag, consumer FROM identity.attempt WHERE window_start <= until
        ORDER BY window_start LIMIT 20 FOR UPDATE SKIP LOCKED)
$$;
REVOKE ALL ON FUNCTION identity.forget_attempts FROM PUBLIC;

-- Leaves of versions that an erasure removed: the others of the same batch stay provable. Without the salt,
-- which is gone, a leaf says nothing about what it stood for.
CREATE TABLE records.erased_leaf (
    batch_id   uuid   NOT NULL,
    record_id  bigint NOT NULL,
    leaf_hash  bytea  NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (batch_id, record_id, leaf_hash)
);
GRANT SELECT ON records.erased_leaf TO lintas_ingest, lintas_api, lintas_steward, lintas_auditor;

-- Removes what a dataset knows of a person; only for an erasure that has begun. Who publishes the dataset at
-- the moment ends first, and whoever publishes next sees that the person is suppressed.
CREATE FUNCTION records.forget_person(request uuid, dataset_id text, identifier text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    shape records.dataset;
    gone bigint[];
    removed bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM audit.erasure e WHERE e.request_id = request AND e.state = 'erasing') THEN
        RAISE insufficient_privilege USING MESSAGE = 'no erasure has begun';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('lintas.records.publish:' || forget_person.dataset_id, 0));
    SELECT * INTO shape FROM records.dataset d WHERE d.dataset_id = forget_person.dataset_id;
    IF shape.subject_column IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format(
        'WITH named AS (SELECT record_id, batch_id, leaf_salt, content_hash FROM records.%1$I'
        ' WHERE dataset = $1 AND %2$I = $2), kept AS (INSERT INTO records.erased_leaf'
        ' SELECT batch_id, record_id, sha256(''\\x00''::bytea || leaf_salt || content_hash) FROM named'
        ' ON CONFLICT DO NOTHING) SELECT array_agg(record_id), count(*) FROM named',
        shape.table_name || '_versions', shape.subject_column
    ) INTO gone, removed USING shape.dataset_id, identifier;
    IF gone IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('INSERT INTO records.change_feed (dataset_id, record_id, action, batch_id)'
        ' SELECT dataset, record_id, ''closed'', batch_id FROM records.%I WHERE dataset = $1 AND %I = $2',
        shape.table_name, shape.subject_column) USING shape.dataset_id, identifier;
    EXECUTE format('DELETE FROM records.%I WHERE dataset = $1 AND %I = $2',
        shape.table_name, shape.subject_column) USING shape.dataset_id, identifier;
    EXECUTE format('DELETE FROM records.%I WHERE dataset = $1 AND %I = $2',
        shape.table_name || '_history', shape.subject_column) USING shape.dataset_id, identifier;
    DELETE FROM quality.flag WHERE record_id = ANY (gone);
    DELETE FROM quality.conflict WHERE record_id = ANY (gone) OR other_record_id = ANY (gone);
    DELETE FROM identity.duplicate WHERE record_id = ANY (gone) OR other_record_id = ANY (gone);
    DELETE FROM identity.link WHERE record_id = ANY (gone);
    DELETE FROM identity.severance WHERE record_id = ANY (gone);
    RETURN removed;
END $$;

-- The same for what is not of one dataset: links of the handle, and whatever carries the person's tag.
CREATE FUNCTION identity.forget_person(request uuid, handle uuid, person_tag bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM audit.erasure e WHERE e.request_id = request AND e.state = 'erasing') THEN
        RAISE insufficient_privilege USING MESSAGE = 'no erasure has begun';
    END IF;
    DELETE FROM identity.link WHERE subject_id = handle;
    DELETE FROM identity.severance WHERE subject_id = handle;
    DELETE FROM identity.attempt WHERE subject_tag = person_tag;
    DELETE FROM quality.held_tag WHERE tag = person_tag;
    PERFORM quality.forget_rows(ARRAY(SELECT row_id FROM quality.quarantine_tag WHERE tag = person_tag));
END $$;

CREATE FUNCTION quality.forget_rows(named bigint[]) RETURNS void
LANGUAGE sql SET search_path = '' AS $$
    DELETE FROM quality.quarantine_tag WHERE row_id = ANY (named);
    DELETE FROM quality.quarantine_row WHERE row_id = ANY (named);
$$;

-- Rows that a batch left in quarantine about people who were erased.
CREATE FUNCTION quality.forget_suppressed(batch uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM quality.forget_rows(ARRAY(
        SELECT r.row_id FROM quality.quarantine_row r JOIN quality.quarantine_tag t USING (row_id)
          JOIN audit.suppression s ON s.tag = t.tag WHERE r.batch_id = batch));
END $$;
REVOKE ALL ON FUNCTION records.forget_person, identity.forget_person, quality.forget_rows,
    quality.forget_suppressed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION records.forget_person, identity.forget_person TO lintas_steward;
GRANT EXECUTE ON FUNCTION quality.forget_suppressed TO lintas_ingest;

GRANT USAGE ON SCHEMA records, quality, identity
    TO lintas_ingest, lintas_api, lintas_steward, lintas_auditor;
GRANT USAGE, CREATE ON SCHEMA staging TO lintas_ingest;
GRANT USAGE ON SCHEMA staging TO lintas_steward;

GRANT USAGE ON SEQUENCE records.record_id TO lintas_ingest;
GRANT SELECT ON records.dataset, records.dataset_state, records.batch, records.change_feed,
    quality.assessment, quality.score, quality.flag
    TO lintas_ingest, lintas_api, lintas_steward, lintas_auditor;
GRANT SELECT (batch_id, slice_id, page_no, attempt, next_position, rows_read, rows_accepted, rows_rejected,
    checksum, complete, landed_at) ON records.page TO lintas_steward, lintas_auditor;

GRANT INSERT, UPDATE ON records.batch, records.dataset_state, quality.assessment, quality.score, quality.flag
    TO lintas_ingest;
GRANT SELECT, INSERT, UPDATE ON records.page TO lintas_ingest;
GRANT INSERT ON records.change_feed TO lintas_ingest;
GRANT DELETE ON quality.score, quality.flag TO lintas_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON quality.held_tag, quality.quarantine_tag
    TO lintas_ingest, lintas_steward;
GRANT INSERT ON quality.quarantine_page, quality.quarantine_row TO lintas_ingest;
GRANT SELECT (batch_id, slice_id, page_no) ON quality.quarantine_page TO lintas_ingest;
GRANT SELECT (row_id, dataset_id, batch_id, slice_id, page_no, position, contract_version, fields, rules,
    errors, key_tag, state, quarantined_at, resolved_at, resolved_by, returned_at) ON quality.quarantine_row
    TO lintas_ingest;
GRANT UPDATE (state, resolved_at, resolved_by) ON quality.quarantine_row TO lintas_ingest, lintas_steward;
GRANT UPDATE (returned_at, returned_by) ON quality.quarantine_row TO lintas_steward;
GRANT SELECT ON quality.quarantine_page, quality.quarantine_row TO lintas_steward;
GRANT UPDATE (status, ended_at, released_by, reason) ON records.batch TO lintas_steward;

GRANT SELECT ON quality.quarantine_tag, quality.held_tag TO lintas_api;
GRANT SELECT, INSERT, UPDATE ON identity.link, identity.severance TO lintas_steward;
GRANT SELECT, INSERT ON identity.link TO lintas_api;
GRANT SELECT ON identity.severance TO lintas_api;
GRANT SELECT, INSERT, UPDATE ON identity.attempt, identity.consumer_attempt TO lintas_api;
GRANT EXECUTE ON FUNCTION identity.forget_attempts TO lintas_api;
GRANT SELECT ON identity.link, identity.severance TO lintas_auditor;
"""

DOWN = "DROP SCHEMA IF EXISTS records, staging, quality, identity CASCADE"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
