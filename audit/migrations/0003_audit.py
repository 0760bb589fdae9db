"""The log: outbox, entries, tiles, checkpoints, and what stands beside it."""

from alembic import op

revision = "0003_audit"
down_revision = "0002_participants"
branch_labels = None
depends_on = None

_WRITERS = "lintas_ingest, lintas_api, lintas_steward"
_READERS = "lintas_api, lintas_steward, lintas_auditor, lintas_sequencer"

_UP = f"""
CREATE SCHEMA IF NOT EXISTS audit;

-- Limits of single values are domains: a CHECK of a table is read and planned anew by every statement,
-- which costs an append of one entry a fifth of its time in PostgreSQL.
CREATE DOMAIN audit.entry_bytes AS bytea CHECK (octet_length(VALUE) BETWEEN 2 AND 65535);
CREATE DOMAIN audit.index_key AS bytea CHECK (octet_length(VALUE) = 32);

CREATE TABLE audit.outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_id    uuid NOT NULL,
    kind        text NOT NULL,
    occurred_at timestamptz NOT NULL,
    provider    text,
    consumer    text,
    purpose     text,
    outcome     text,
    entry       audit.entry_bytes NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, toast_tuple_target = 8160);
ALTER TABLE audit.outbox ALTER COLUMN entry SET STORAGE EXTERNAL;
COMMENT ON TABLE audit.outbox IS 'Entries written with what they record, waiting for the sequencer';

CREATE TABLE audit.entries (
    entry_index bigint PRIMARY KEY CHECK (entry_index >= 0),
    entry_id    uuid NOT NULL,
    kind        text NOT NULL,
    occurred_at timestamptz NOT NULL,
    provider    text,
    consumer    text,
    purpose     text,
    outcome     text,
    entry       bytea NOT NULL
) PARTITION BY RANGE (entry_index);
ALTER TABLE audit.entries ALTER COLUMN entry SET STORAGE EXTERNAL;
CREATE INDEX entries_occurred_at ON audit.entries USING brin (occurred_at);
COMMENT ON TABLE audit.entries IS
    'The log: exact entry bytes at their index; the other columns only serve search';

CREATE TABLE audit.partitioning (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    width          bigint NOT NULL CHECK (width > 0 AND mod(width, 256) = 0),
    partitioned_to bigint NOT NULL CHECK (partitioned_to >= 0)
);
INSERT INTO audit.partitioning (width, partitioned_to) VALUES (4194304, 0);
COMMENT ON TABLE audit.partitioning IS 'How many entries the next partition takes, and where it begins';

CREATE FUNCTION audit.ensure_partitions(needed bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    place audit.partitioning;
    part  text;
BEGIN
    SELECT * INTO STRICT place FROM audit.partitioning;
    IF place.partitioned_to >= needed THEN
        RETURN;
    END IF;
    SELECT * INTO STRICT place FROM audit.partitioning FOR UPDATE;
    WHILE place.partitioned_to < needed LOOP
        -- Attached, not created as a partition: readers of the log go on meanwhile.
        part := format('entries_from_%%s', place.partitioned_to);
        EXECUTE format('CREATE TABLE audit.%%I (LIKE audit.entries INCLUDING ALL)', part);
        EXECUTE format('ALTER TABLE audit.%%I ADD UNIQUE (entry_id)', part);
        EXECUTE format(
            'ALTER TABLE audit.entries ATTACH PARTITION audit.%%I FOR VALUES FROM (%%s) TO (%%s)',
            part, place.partitioned_to, place.partitioned_to + place.width
        );
        place.partitioned_to := place.partitioned_to + place.width;
    END LOOP;
    UPDATE audit.partitioning SET partitioned_to = place.partitioned_to;
END $$;
REVOKE EXECUTE ON FUNCTION audit.ensure_partitions(bigint) FROM PUBLIC;
SELECT audit.ensure_partitions(1);

CREATE TABLE audit.tiles (
    level      smallint NOT NULL CHECK (level BETWEEN 0 AND 63),
    tile_index bigint NOT NULL CHECK (tile_index >= 0),
    hashes     bytea NOT NULL CHECK (
        mod(octet_length(hashes), 32) = 0 AND octet_length(hashes) BETWEEN 32 AND 8192
    ),
    PRIMARY KEY (level, tile_index)
);
ALTER TABLE audit.tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE audit.tiles IS
    'C2SP tlog-tiles; an older partial tile is a prefix of the row that stands here';

CREATE TABLE audit.log_state (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    tree_size bigint NOT NULL CHECK (tree_size >= 0),
    frontier  bytea NOT NULL
);
INSERT INTO audit.log_state (tree_size, frontier) VALUES (0, ''::bytea);

CREATE TABLE audit.checkpoints (
    tree_size bigint PRIMARY KEY CHECK (tree_size > 0),
    root      bytea NOT NULL CHECK (octet_length(root) = 32),
    note      text NOT NULL,
    signed_at timestamptz NOT NULL
);

CREATE TABLE audit.sealed (
    entry_id uuid PRIMARY KEY,
    blob     bytea NOT NULL
) WITH (toast_tuple_target = 8160);
ALTER TABLE audit.sealed ALTER COLUMN blob SET STORAGE EXTERNAL;
COMMENT ON TABLE audit.sealed IS 'Personal and raw content of entries, under the data key of its subject';

CREATE TABLE audit.subject_index (
    index_key   audit.index_key NOT NULL,
    entry_id    uuid NOT NULL,
    PRIMARY KEY (index_key, entry_id)
);
COMMENT ON TABLE audit.subject_index IS
    'Which entries are about a subject, findable only with the subject''s tag key';

CREATE FUNCTION audit.merkle_fold(nodes bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    width integer := octet_length(nodes) / 32;
    level bytea := nodes;
BEGIN
    IF width = 0 THEN
        RETURN sha256(''::bytea);
    END IF;
    WHILE width > 1 LOOP
        SELECT string_agg(
                   sha256('\\x01'::bytea || substring(level FROM i * 64 + 1 FOR 64)), ''::bytea ORDER BY i
               ) || substring(level FROM width / 2 * 64 + 1)
          INTO level
          FROM generate_series(0, width / 2 - 1) AS i;
        width := octet_length(level) / 32;
    END LOOP;
    RETURN level;
END $$;
COMMENT ON FUNCTION audit.merkle_fold IS 'RFC 6962 root over concatenated 32-byte node hashes';

GRANT USAGE ON SCHEMA audit TO {_WRITERS}, lintas_auditor, lintas_sequencer;
GRANT INSERT ON audit.outbox, audit.sealed, audit.subject_index TO {_WRITERS}, lintas_auditor;
GRANT SELECT, DELETE ON audit.outbox TO lintas_sequencer;
GRANT SELECT (id, entry_id) ON audit.outbox TO lintas_api, lintas_steward, lintas_auditor;
GRANT SELECT ON audit.entries, audit.tiles, audit.log_state, audit.checkpoints TO {_READERS};
GRANT INSERT ON audit.entries, audit.tiles, audit.checkpoints TO lintas_sequencer;
GRANT UPDATE ON audit.tiles, audit.log_state TO lintas_sequencer;
GRANT SELECT ON audit.sealed, audit.subject_index TO lintas_api, lintas_steward, lintas_auditor;
GRANT EXECUTE ON FUNCTION audit.ensure_partitions(bigint) TO lintas_sequencer;
GRANT EXECUTE ON FUNCTION audit.merkle_fold(bytea) TO {_WRITERS}, lintas_auditor;
"""

_DOWN = """
DROP FUNCTION audit.merkle_fold(bytea), audit.ensure_partitions(bigint);
DROP TABLE audit.subject_index, audit.sealed, audit.checkpoints, audit.log_state, audit.tiles,
    audit.entries, audit.partitioning, audit.outbox;
DROP DOMAIN audit.index_key, audit.entry_bytes;
REVOKE USAGE ON SCHEMA audit FROM lintas_ingest, lintas_api, lintas_steward, lintas_auditor, lintas_sequencer;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
