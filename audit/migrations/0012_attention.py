"""Streams to other systems, and what was flagged for attention."""

from alembic import op

revision = "0012_attention"
down_revision = "0011_search"
branch_labels = None
depends_on = None

_STREAMS = """
CREATE TABLE audit.stream (
    name            text PRIMARY KEY CHECK (name ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    format          text NOT NULL CHECK (format IN ('ocsf', 'cef', 'fhir')),
    url             text NOT NULL,
    ca_pem          text,
    client          text,
    credential      text,
    credential_header text NOT NULL,
    filter          jsonb NOT NULL,
    position        bigint NOT NULL CHECK (position >= 0),
    sent            bigint NOT NULL DEFAULT 0,
    failures        integer NOT NULL DEFAULT 0,
    problem         text,
    failing_since   timestamptz,
    delivered_at    timestamptz,
    next_attempt_at timestamptz NOT NULL,
    added_by        text NOT NULL,
    added_at        timestamptz NOT NULL
);
COMMENT ON TABLE audit.stream IS
    'Where entries are sent; position is the next entry to look at, and moves on after the acknowledgement';
COMMENT ON COLUMN audit.stream.credential IS 'Reference to a secret, never the secret';

GRANT USAGE ON SCHEMA audit TO lintas_monitor;
GRANT SELECT ON audit.entries, audit.checkpoints, audit.log_state TO lintas_monitor;
GRANT SELECT ON audit.stream TO lintas_monitor, lintas_steward, lintas_auditor;
GRANT INSERT, DELETE ON audit.stream TO lintas_steward;
GRANT UPDATE (position, sent, failures, problem, failing_since, delivered_at, next_attempt_at)
    ON audit.stream TO lintas_monitor;
"""

_DOWN = """
DROP TABLE audit.stream;
REVOKE ALL ON audit.entries, audit.checkpoints, audit.log_state FROM lintas_monitor;
REVOKE USAGE ON SCHEMA audit FROM lintas_monitor;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_STREAMS)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
