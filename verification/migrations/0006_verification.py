"""Answers, idempotent requests, referrals, and what clients may not use twice.

Revision ID: 0006_verification
Revises: 0005_records
"""

from alembic import op

revision = "0006_verification"
down_revision = "0005_records"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA verification;

CREATE TABLE verification.answer (
    answer_id        uuid        PRIMARY KEY,
    consumer         text        NOT NULL,
    system           text        NOT NULL,
    service          text        NOT NULL,
    service_version  text        NOT NULL,
    purpose          text        NOT NULL,
    subject          uuid        NOT NULL,
    fields           jsonb       NOT NULL,
    answered_at      timestamptz NOT NULL,
    decision_id      uuid        NOT NULL,
    entry_id         uuid        NOT NULL UNIQUE,
    sealed           bytea       NOT NULL,
    other            uuid,
    other_fields     jsonb       NOT NULL DEFAULT '{}'
) WITH (toast_tuple_target = 8160);
ALTER TABLE verification.answer ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX answer_subject ON verification.answer (subject, answered_at);
COMMENT ON TABLE verification.answer IS 'Answers given; what is about the person is sealed under their key';

CREATE TABLE verification.idempotency (
    system       text        NOT NULL,
    key_tag      bytea       NOT NULL CHECK (octet_length(key_tag) = 32),
    request_tag  bytea       NOT NULL CHECK (octet_length(request_tag) = 32),
    answer_id    uuid        NOT NULL REFERENCES verification.answer,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (system, key_tag)
);
CREATE INDEX idempotency_age ON verification.idempotency USING brin (created_at);

CREATE TABLE verification.referral (
    referral_id  uuid        PRIMARY KEY,
    answer_id    uuid        NOT NULL UNIQUE REFERENCES verification.answer,
    owner        text        NOT NULL,
    consumer     text        NOT NULL,
    service      text        NOT NULL,
    subject      uuid        NOT NULL,
    criteria     text[]      NOT NULL,
    opened_at    timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    stopped_at   timestamptz,
    decided_at   timestamptz,
    verdict      text        CHECK (verdict IN ('approved', 'rejected')),
    officer_id   text,
    kid          text,
    sealed       bytea,
    entry_id     uuid,
    CHECK ((decided_at IS NULL) = (verdict IS NULL)),
    CHECK ((decided_at IS NULL) = (sealed IS NULL)),
    CHECK ((decided_at IS NULL) = (kid IS NULL)),
    CHECK ((decided_at IS NULL) = (entry_id IS NULL)),
    CHECK (decided_at IS NULL OR stopped_at IS NULL)
);
CREATE INDEX referral_open ON verification.referral (owner, due_at) WHERE decided_at IS NULL;

CREATE TABLE verification.referral_clock (
    referral_id  uuid        NOT NULL REFERENCES verification.referral,
    position     integer     NOT NULL,
    event        text        NOT NULL CHECK (event IN ('stopped', 'resumed')),
    at           timestamptz NOT NULL,
    reason       text        NOT NULL,
    officer_id   text        NOT NULL,
    PRIMARY KEY (referral_id, position)
);

CREATE TABLE verification.used_assertion (
    assertion_tag  bytea       PRIMARY KEY CHECK (octet_length(assertion_tag) = 32),
    expires_at     timestamptz NOT NULL
);
CREATE INDEX used_assertion_expiry ON verification.used_assertion (expires_at);
COMMENT ON TABLE verification.used_assertion IS 'Client assertions seen (RFC 7523): none is taken twice';

CREATE TABLE verification.request_window (
    client        text        NOT NULL,
    window_start  timestamptz NOT NULL,
    leased        integer     NOT NULL CHECK (leased >= 0),
    PRIMARY KEY (client, window_start)
);
CREATE INDEX request_window_age ON verification.request_window (window_start);

GRANT USAGE ON SCHEMA verification TO lintas_api, lintas_steward, lintas_auditor;
GRANT SELECT, INSERT ON verification.answer, verification.referral, verification.referral_clock
    TO lintas_api, lintas_steward;
GRANT SELECT, INSERT, UPDATE, DELETE ON verification.idempotency TO lintas_api;
GRANT UPDATE (due_at, stopped_at, decided_at, verdict, officer_id, kid, sealed, entry_id)
    ON verification.referral TO lintas_api, lintas_steward;
GRANT SELECT, INSERT, DELETE ON verification.used_assertion TO lintas_api;
GRANT SELECT, INSERT, DELETE, UPDATE (leased) ON verification.request_window TO lintas_api;
GRANT SELECT (answer_id, consumer, system, service, service_version, purpose, fields, answered_at,
    decision_id, entry_id) ON verification.answer TO lintas_auditor;
GRANT SELECT (referral_id, answer_id, owner, consumer, service, criteria, opened_at, due_at, stopped_at,
    decided_at, officer_id, kid, entry_id) ON verification.referral TO lintas_auditor;
GRANT SELECT ON verification.referral_clock TO lintas_auditor;
"""

DOWN = "DROP SCHEMA verification CASCADE"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
