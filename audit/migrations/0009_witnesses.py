"""Witnesses and their cosignatures."""

from alembic import op

revision = "0009_witnesses"
down_revision = "0008_watches"
branch_labels = None
depends_on = None

_READERS = "lintas_api, lintas_steward, lintas_auditor, lintas_sequencer"
_WRITERS = "lintas_ingest, lintas_api, lintas_steward, lintas_auditor, lintas_dispatcher"

_UP = f"""
CREATE TABLE audit.cosigned_checkpoints (
    tree_size   bigint PRIMARY KEY CHECK (tree_size > 0),
    note        text NOT NULL,
    independent integer NOT NULL CHECK (independent >= 0),
    quorum_met  boolean NOT NULL,
    gathered_at timestamptz NOT NULL
);
CREATE INDEX cosigned_checkpoints_quorum ON audit.cosigned_checkpoints (tree_size) WHERE quorum_met;
COMMENT ON TABLE audit.cosigned_checkpoints IS
    'Checkpoints with the cosignatures of witnesses; the same text as in audit.checkpoints';

CREATE TABLE audit.witnesses (
    name        text PRIMARY KEY,
    tree_size   bigint NOT NULL CHECK (tree_size >= 0),
    cosigned_at timestamptz,
    asked_at    timestamptz NOT NULL,
    trouble     text
);
COMMENT ON TABLE audit.witnesses IS 'What each witness of the policy saw last, and what hindered it';

CREATE TABLE audit.quorum (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    met_at        timestamptz,
    refused_after timestamptz,
    trouble       text
);
INSERT INTO audit.quorum DEFAULT VALUES;
COMMENT ON TABLE audit.quorum IS
    'When a quorum of witnesses last stood behind the log, and after which moment no exchange is logged';

GRANT SELECT, INSERT, UPDATE ON audit.cosigned_checkpoints TO lintas_sequencer;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit.witnesses TO lintas_sequencer;
GRANT SELECT, UPDATE ON audit.quorum TO lintas_sequencer;
GRANT SELECT ON audit.cosigned_checkpoints, audit.witnesses TO {_READERS};
GRANT SELECT ON audit.quorum TO {_WRITERS};
"""

_DOWN = """
DROP TABLE audit.quorum, audit.witnesses, audit.cosigned_checkpoints;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
