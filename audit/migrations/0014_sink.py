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
    'Until when exchanges are accepted: the sequencer puts it off while it keeps up; null before it worked';

CREATE TABLE audit.sink (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    directory text NOT NULL,
    copy      uuid NOT NULL,
    required  boolean NOT NULL,
    kept      bigint NOT NULL CHECK (kept >= 0),
    kept_at   timestamptz NOT NULL,
    trouble   text
);
COMMENT ON TABLE audit.sink IS 'How the copy of the log in another failure domain stands, where one is kept';

GRANT SELECT, INSERT, UPDATE, DELETE ON audit.sink TO lintas_sequencer;
GRANT SELECT ON audit.sink TO {_READERS};
GRANT SELECT ON audit.backlog TO {_WRITERS}, lintas_sequencer;
GRANT UPDATE ON audit.backlog TO lintas_sequencer;
GRANT SELECT (id) ON audit.outbox TO {_WRITERS};
"""

_DOWN = """
REVOKE SELECT (id) ON audit.outbox FROM lintas_ingest, lintas_dispatcher;
DROP TABLE audit.backlog, audit.sink;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
