"""What agencies contradict each other about, and which records may be of one person.

Revision ID: 0007_conflicts
Revises: 0006_verification
"""

from alembic import op

revision = "0007_conflicts"
down_revision = "0006_verification"
branch_labels = None
depends_on = None

UP = """
-- Two open records about one subject that say different things; never what they say.
CREATE TABLE quality.conflict (
    conflict_id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    field             text        NOT NULL,
    dataset_id        text        NOT NULL,
    record_id         bigint      NOT NULL,
    other_dataset_id  text        NOT NULL,
    other_record_id   bigint      NOT NULL,
    found_at          timestamptz NOT NULL,
    found_by          uuid        NOT NULL,
    closed_at         timestamptz,
    closed_by         uuid,
    CHECK (record_id < other_record_id),
    CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);
CREATE UNIQUE INDEX conflict_open ON quality.conflict (record_id, other_record_id, field)
    WHERE closed_at IS NULL;
CREATE INDEX conflict_open_other ON quality.conflict (other_record_id) WHERE closed_at IS NULL;

-- Two open records of one register that may be about one person under two numbers: a question, no evidence.
CREATE TABLE identity.duplicate (
    duplicate_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset_id       text        NOT NULL,
    record_id        bigint      NOT NULL,
    other_record_id  bigint      NOT NULL,
    why              text        NOT NULL,
    found_at         timestamptz NOT NULL,
    found_by         uuid        NOT NULL,
    closed_at        timestamptz,
    closed_by        uuid,
    CHECK (record_id < other_record_id),
    CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);
CREATE UNIQUE INDEX duplicate_open ON identity.duplicate (record_id, other_record_id) WHERE closed_at IS NULL;
CREATE INDEX duplicate_open_other ON identity.duplicate (other_record_id) WHERE closed_at IS NULL;

GRANT SELECT, INSERT, UPDATE (closed_at, closed_by) ON quality.conflict, identity.duplicate TO lintas_ingest;
GRANT SELECT ON quality.conflict TO lintas_api, lintas_steward, lintas_auditor;
GRANT SELECT ON identity.duplicate TO lintas_steward, lintas_auditor;
"""

DOWN = "DROP TABLE IF EXISTS quality.conflict, identity.duplicate"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
