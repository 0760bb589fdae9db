"""Search, saved views and retention."""

from alembic import op

revision = "0011_search"
down_revision = "0010_erasure"
branch_labels = None
depends_on = None

_WRITERS = "lintas_ingest, lintas_api, lintas_steward, lintas_auditor, lintas_dispatcher"
_READERS = "lintas_api, lintas_steward, lintas_auditor, lintas_sequencer"

_UP = rf"""
CREATE TABLE audit.case_index (
    case_key bytea NOT NULL CHECK (octet_length(case_key) = 32),
    entry_id uuid NOT NULL,
    PRIMARY KEY (case_key, entry_id)
);
COMMENT ON TABLE audit.case_index IS
    'Which entries belong to a case, findable only with the key of the case index; written with the entry';

CREATE TABLE audit.search_blocks (
    block    bigint PRIMARY KEY CHECK (block >= 0),
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    terms    bigint[] NOT NULL
);
CREATE INDEX search_blocks_terms ON audit.search_blocks USING gin (terms) WITH (fastupdate = off);
COMMENT ON TABLE audit.search_blocks IS
    'Per 256 entries: their times and the terms that occur; built behind the log, may be emptied and rebuilt';

CREATE FUNCTION audit.blocks_with(wanted bigint[], low bigint, high bigint)
RETURNS TABLE (block bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE sql STABLE SET enable_seqscan = off SET enable_indexscan = off AS $$
    SELECT b.block, b.first_at, b.last_at FROM audit.search_blocks b
     WHERE b.terms @> wanted AND b.block >= low AND b.block < high
$$;
COMMENT ON FUNCTION audit.blocks_with IS
    'By the GIN index, whatever the statistics: any other plan unpacks the terms of every block';

CREATE TABLE audit.entry_counts (
    hour     timestamptz NOT NULL,
    kind     text NOT NULL,
    provider text NOT NULL,
    consumer text NOT NULL,
    purpose  text NOT NULL,
    outcome  text NOT NULL,
    entries  bigint NOT NULL CHECK (entries > 0),
    PRIMARY KEY (hour, kind, provider, consumer, purpose, outcome)
);
COMMENT ON TABLE audit.entry_counts IS 'Entries by hour, for what search_state says is indexed';

CREATE TABLE audit.search_state (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    indexed_to bigint NOT NULL CHECK (indexed_to >= 0 AND mod(indexed_to, 256) = 0)
);
INSERT INTO audit.search_state (indexed_to) VALUES (0);

CREATE TABLE audit.saved_views (
    name     text PRIMARY KEY CHECK (name ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    filter   jsonb NOT NULL,
    saved_by text NOT NULL,
    saved_at timestamptz NOT NULL
);

CREATE TABLE audit.retention_state (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    minimum_index bigint NOT NULL CHECK (minimum_index >= 0 AND mod(minimum_index, 256) = 0)
);
INSERT INTO audit.retention_state (minimum_index) VALUES (0);
COMMENT ON TABLE audit.retention_state IS 'C2SP tlog-tiles: entries below the minimum index were pruned';

CREATE TABLE audit.prunings (
    pruning_id    uuid PRIMARY KEY,
    minimum_index bigint NOT NULL CHECK (minimum_index > 0 AND mod(minimum_index, 256) = 0),
    before        timestamptz NOT NULL,
    reason        text NOT NULL CHECK (reason <> ''),
    proposed_by   text NOT NULL,
    proposed_at   timestamptz NOT NULL,
    approved_by   text CHECK (approved_by <> proposed_by),
    approved_at   timestamptz,
    newest        timestamptz,
    CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);
COMMENT ON TABLE audit.prunings IS 'What one steward proposed to prune, and another approved';
COMMENT ON COLUMN audit.prunings.newest IS 'When the latest of the entries removed had happened';

CREATE TABLE audit.retention_rules (
    of_kind text PRIMARY KEY,
    days    integer NOT NULL CHECK (days >= 0)
);
INSERT INTO audit.retention_rules (of_kind, days) VALUES ('', 3650);
COMMENT ON TABLE audit.retention_rules IS
    'How long entries of a kind, of a family, or (no name) all others are kept; only the migrator writes it';

-- Whoever calls this by hand, with a steward's password, is held to what `lintas audit prune` is held to.
CREATE FUNCTION audit.prune_entries(wanted uuid, approver text, at timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked   audit.prunings;
    floor   bigint;
    whole   regclass[];
    edge    bigint;
    each    regclass;
BEGIN
    SELECT * INTO asked FROM audit.prunings WHERE pruning_id = wanted AND approved_by IS NULL FOR UPDATE;
    IF NOT FOUND OR asked.proposed_by = approver THEN
        RAISE insufficient_privilege USING MESSAGE = 'no pruning of another person waits under this id';
    END IF;
    IF audit.steward_of(asked.proposed_by, at) IS DISTINCT FROM 'operator'
       OR audit.steward_of(approver, at) IS DISTINCT FROM 'operator' THEN
        RAISE insufficient_privilege USING MESSAGE = 'two stewards of the operator are needed';
    END IF;
    IF EXISTS (SELECT FROM audit.legal_hold WHERE released_at IS NULL) THEN
        RAISE insufficient_privilege USING MESSAGE = 'a legal hold is open';
    END IF;
    SELECT minimum_index INTO STRICT floor FROM audit.retention_state FOR UPDATE;
    IF asked.minimum_index <= floor OR asked.minimum_index > (SELECT max(tree_size) FROM audit.checkpoints)
    THEN
        RAISE insufficient_privilege USING MESSAGE = 'only entries below a checkpoint, not pruned yet';
    END IF;
    IF EXISTS (
        SELECT FROM audit.entries e
         WHERE e.entry_index < asked.minimum_index
           AND e.occurred_at >= least(asked.before, clock_timestamp() - make_interval(days => (
                   SELECT r.days FROM audit.retention_rules r
                    WHERE r.of_kind IN (e.kind, split_part(e.kind, '.', 1), '')
                    ORDER BY r.of_kind = e.kind DESC, r.of_kind <> '' DESC LIMIT 1)))) THEN
        RAISE insufficient_privilege USING MESSAGE = 'some of these entries must be kept by the rules';
    END IF;
    CREATE TEMPORARY TABLE pruned_ids ON COMMIT DROP AS
        SELECT entry_id, occurred_at FROM audit.entries WHERE entry_index < asked.minimum_index;
    DELETE FROM audit.sealed USING pg_temp.pruned_ids p WHERE sealed.entry_id = p.entry_id;
    DELETE FROM audit.subject_index USING pg_temp.pruned_ids p WHERE subject_index.entry_id = p.entry_id;
    DELETE FROM audit.case_index USING pg_temp.pruned_ids p WHERE case_index.entry_id = p.entry_id;
    DELETE FROM audit.search_blocks WHERE block < asked.minimum_index / 256;
    SELECT array_agg(part), coalesce(max(high), 0) INTO whole, edge
      FROM (SELECT i.inhrelid::regclass AS part,
                   substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([0-9]+)''\)')::bigint AS high
              FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'audit.entries'::regclass) AS parts
     WHERE high <= asked.minimum_index;
    DELETE FROM audit.entries WHERE entry_index >= edge AND entry_index < asked.minimum_index;
    UPDATE audit.retention_state SET minimum_index = asked.minimum_index;
    UPDATE audit.prunings SET approved_by = approver, approved_at = at,
           newest = (SELECT max(occurred_at) FROM pg_temp.pruned_ids)
     WHERE pruning_id = wanted;
    -- Last, because it keeps everybody from the log until the commit.
    FOREACH each IN ARRAY coalesce(whole, '{{}}') LOOP
        EXECUTE 'DROP TABLE ' || each;
    END LOOP;
    RETURN asked.minimum_index - floor;
END $$;
REVOKE EXECUTE ON FUNCTION audit.prune_entries(uuid, text, timestamptz) FROM PUBLIC;

GRANT INSERT ON audit.case_index TO {_WRITERS};
GRANT SELECT ON audit.case_index, audit.search_blocks, audit.entry_counts, audit.search_state,
    audit.saved_views, audit.retention_state, audit.prunings, audit.retention_rules TO {_READERS};
GRANT INSERT ON audit.search_blocks, audit.entry_counts TO lintas_sequencer;
GRANT UPDATE ON audit.entry_counts, audit.search_state TO lintas_sequencer;
GRANT INSERT, DELETE ON audit.saved_views TO lintas_auditor;
GRANT INSERT (pruning_id, minimum_index, before, reason, proposed_by, proposed_at)
    ON audit.prunings TO lintas_steward;
GRANT SELECT (kind, outcome) ON audit.outbox TO lintas_auditor, lintas_steward;
GRANT EXECUTE ON FUNCTION audit.blocks_with(bigint[], bigint, bigint) TO {_READERS};
GRANT EXECUTE ON FUNCTION audit.prune_entries(uuid, text, timestamptz) TO lintas_steward;
"""

_DOWN = """
DROP FUNCTION audit.prune_entries(uuid, text, timestamptz), audit.blocks_with(bigint[], bigint, bigint);
DROP TABLE audit.prunings, audit.retention_rules, audit.retention_state, audit.saved_views,
    audit.search_state, audit.entry_counts, audit.search_blocks, audit.case_index;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
