"""Timestamps of outside authorities on checkpoints, and the queue of those that are asked for."""

from alembic import op

revision = "0013_timestamps"
down_revision = "0012_attention"
branch_labels = None
depends_on = None

_READERS = "lintas_api, lintas_steward, lintas_auditor, lintas_sequencer"

_UP = f"""
CREATE TABLE audit.timestamp_authorities (
    name          text PRIMARY KEY,
    queued_size   bigint NOT NULL DEFAULT 0,
    queued_at     timestamptz,
    next_at       timestamptz NOT NULL,
    failures      integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    failing_since timestamptz,
    trouble       text,
    ahead_seconds double precision
);
COMMENT ON TABLE audit.timestamp_authorities IS
    'How each timestamping authority answered last, and when it is asked again';

CREATE TABLE audit.timestamp_requests (
    authority text NOT NULL REFERENCES audit.timestamp_authorities ON DELETE CASCADE,
    tree_size bigint NOT NULL REFERENCES audit.checkpoints,
    queued_at timestamptz NOT NULL,
    PRIMARY KEY (authority, tree_size)
);
COMMENT ON TABLE audit.timestamp_requests IS 'Checkpoints that wait for a token of an authority';

CREATE TABLE audit.timestamps (
    tree_size    bigint NOT NULL REFERENCES audit.checkpoints,
    authority    text NOT NULL,
    imprint      bytea NOT NULL CHECK (octet_length(imprint) = 32),
    token        bytea NOT NULL CHECK (octet_length(token) BETWEEN 64 AND 65536),
    generated_at timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (tree_size, authority)
);
ALTER TABLE audit.timestamps ALTER COLUMN token SET STORAGE EXTERNAL;
COMMENT ON TABLE audit.timestamps IS 'RFC 3161 tokens on checkpoints, verified before they are kept';

GRANT SELECT, INSERT, UPDATE, DELETE ON audit.timestamp_authorities TO lintas_sequencer;
GRANT SELECT, INSERT, DELETE ON audit.timestamp_requests TO lintas_sequencer;
GRANT SELECT, INSERT ON audit.timestamps TO lintas_sequencer;
GRANT SELECT ON audit.timestamp_authorities, audit.timestamp_requests, audit.timestamps TO {_READERS};
"""

_DOWN = """
DROP TABLE audit.timestamps, audit.timestamp_requests, audit.timestamp_authorities;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
