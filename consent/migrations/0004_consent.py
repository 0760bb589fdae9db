"""Agreements, consents, daily quotas and emergency reviews.

Revision ID: 0004_consent
Revises: 0003_audit
"""

from alembic import op

revision = "0004_consent"
down_revision = "0003_audit"
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA consent;

CREATE TABLE consent.agreement_revision (
    agreement_id        text        NOT NULL,
    revision            integer     NOT NULL CHECK (revision >= 1),
    hash                bytea       NOT NULL UNIQUE CHECK (hash = sha256(payload)),
    predecessor         bytea       UNIQUE REFERENCES consent.agreement_revision (hash),
    payload             bytea       NOT NULL,
    provider            text        NOT NULL,
    consumer            text        NOT NULL,
    valid_from          timestamptz NOT NULL,
    valid_until         timestamptz NOT NULL CHECK (valid_until > valid_from),
    provider_kid        text        NOT NULL,
    provider_signature  bytea       NOT NULL,
    consumer_kid        text        NOT NULL,
    consumer_signature  bytea       NOT NULL,
    published_at        timestamptz NOT NULL,
    PRIMARY KEY (agreement_id, revision),
    CHECK ((revision = 1) = (predecessor IS NULL))
);
CREATE INDEX agreement_revision_parties
    ON consent.agreement_revision (consumer, provider, agreement_id, revision);

CREATE TABLE consent.agreement_end (
    agreement_id  text        PRIMARY KEY,
    ended_at      timestamptz NOT NULL,
    reason        text        NOT NULL,
    ended_by      text        NOT NULL,
    recorded_at   timestamptz NOT NULL
);

CREATE TABLE consent.consent (
    consent_id  uuid PRIMARY KEY,
    subject     uuid NOT NULL,
    consumer    text NOT NULL,
    purpose     text NOT NULL,
    UNIQUE (subject, consumer, purpose)
);
CREATE INDEX consent_purpose ON consent.consent (consumer, purpose);

CREATE TABLE consent.consent_revision (
    consent_id   uuid        NOT NULL REFERENCES consent.consent,
    revision     integer     NOT NULL CHECK (revision >= 1),
    hash         bytea       NOT NULL UNIQUE CHECK (hash = sha256(payload)),
    predecessor  bytea       UNIQUE REFERENCES consent.consent_revision (hash),
    payload      bytea       NOT NULL,
    state        text        NOT NULL CHECK (state IN ('granted', 'refused', 'withdrawn', 'expired')),
    valid_until  timestamptz,
    occurred_at  timestamptz NOT NULL,
    PRIMARY KEY (consent_id, revision),
    CHECK ((revision = 1) = (predecessor IS NULL))
);
CREATE INDEX consent_revision_expiring
    ON consent.consent_revision (valid_until) WHERE state = 'granted' AND valid_until IS NOT NULL;

CREATE TABLE consent.quota_day (
    agreement_id  text    NOT NULL,
    day           date    NOT NULL,
    leased        integer NOT NULL CHECK (leased >= 0),
    PRIMARY KEY (agreement_id, day)
);

CREATE TABLE consent.emergency_review (
    decision_id  uuid        PRIMARY KEY,
    consumer     text        NOT NULL,
    officer      text        NOT NULL,
    reason       text        NOT NULL,
    accessed_at  timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    reviewed_at  timestamptz,
    reviewed_by  text,
    justified    boolean,
    remark       text,
    CHECK (reviewed_by <> officer),
    CHECK ((reviewed_at IS NULL) = (reviewed_by IS NULL) AND (reviewed_at IS NULL) = (justified IS NULL))
);
CREATE INDEX emergency_review_open ON consent.emergency_review (due_at) WHERE reviewed_at IS NULL;

GRANT USAGE ON SCHEMA consent TO lintas_ingest, lintas_api, lintas_steward, lintas_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA consent TO lintas_api, lintas_steward, lintas_auditor;
GRANT SELECT ON consent.agreement_revision, consent.agreement_end, consent.consent, consent.consent_revision,
    consent.quota_day TO lintas_ingest;
GRANT INSERT, UPDATE (leased) ON consent.quota_day TO lintas_ingest, lintas_api, lintas_steward;
GRANT INSERT ON consent.consent, consent.consent_revision TO lintas_api, lintas_steward;
GRANT INSERT ON consent.emergency_review TO lintas_api, lintas_steward;
GRANT UPDATE (reviewed_at, reviewed_by, justified, remark) ON consent.emergency_review TO lintas_steward;
GRANT INSERT ON consent.agreement_revision, consent.agreement_end TO lintas_steward;
"""

DOWN = "DROP SCHEMA consent CASCADE"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
