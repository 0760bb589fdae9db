"""Until when exchanges are accepted, and the copy of the log in another failure domain."""

from alembic import op

revision = "0014_sink"
down_revision = "0013_timestamps"
branch_labels = None
depends_on = None

_READERS = "lintas_api, lintas_steward, lintas_auditor, lintas_sequencer"
_WRITERS = "lintas_ingest, lintas_api, lintas_steward, lintas_auditor, lintas_dispatcher"

_UP = f"""
CREATE TABLE audit.backlog (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    most_entries    bigint NOT NULL CHECK (most_entries > 0),
    waiting         bigint NOT NULL DEFAULT 0,
    accepting_until timestamptz
);
INSERT INTO audit.backlog (most_entries) VALUES (100000);
COMMENT ON TABLE audit.backlog IS
    'Until when exchanges are accepted: the sequencer puts it off while it keeps up; null before it ever worked';

GRANT SELECT ON audit.backlog TO {_WRITERS}, lintas_sequencer;
GRANT UPDATE ON audit.backlog TO lintas_sequencer;
GRANT SELECT (id) ON audit.outbox TO {_WRITERS};
"""

_DOWN = """
REVOKE SELECT (id) ON audit.outbox FROM lintas_ingest, lintas_dispatcher;
DROP TABLE audit.backlog;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
