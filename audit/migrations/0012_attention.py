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

_ATTENTION = """
CREATE TABLE audit.attention_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint NOT NULL CHECK (position >= 0)
);
INSERT INTO audit.attention_state (position) VALUES (0);

CREATE TABLE audit.attention_set_aside (
    entry_index  bigint PRIMARY KEY,
    problem      text NOT NULL,
    set_aside_at timestamptz NOT NULL
);
COMMENT ON TABLE audit.attention_set_aside IS
    'Entries that the watch could not read, so that nothing is said about the access they tell of';

CREATE TABLE audit.attention_access (
    entry_index bigint PRIMARY KEY,
    entry_id    uuid NOT NULL UNIQUE,
    at          timestamptz NOT NULL,
    kind        text NOT NULL,
    is_access   boolean NOT NULL,
    agency      text NOT NULL,
    who         text NOT NULL,
    is_officer  boolean NOT NULL,
    purpose     text NOT NULL,
    has_case    boolean,
    local_day   date NOT NULL,
    weekday     smallint NOT NULL,
    hour        smallint NOT NULL,
    is_off      boolean NOT NULL,
    decision    text,
    answer      text,
    skew        double precision
);
COMMENT ON TABLE audit.attention_access IS 'What entries say of accesses, for the rules; kept for 60 days';
CREATE INDEX attention_access_who ON audit.attention_access (agency, who, at);
CREATE INDEX attention_access_hour ON audit.attention_access (agency, weekday, hour, local_day)
    WHERE is_access AND is_officer;
CREATE INDEX attention_access_decision ON audit.attention_access (decision) WHERE decision IS NOT NULL;
CREATE INDEX attention_access_answer ON audit.attention_access (answer) WHERE answer IS NOT NULL;
CREATE INDEX attention_access_at ON audit.attention_access USING brin (at);

-- Ids of entries begin with their time, so those of one batch lie together.
CREATE INDEX subject_index_entry ON audit.subject_index USING brin (entry_id)
    WITH (autosummarize = on, pages_per_range = 32);

CREATE TABLE audit.attention_subject (
    subject     bytea NOT NULL,
    entry_id    uuid NOT NULL,
    entry_index bigint NOT NULL,
    PRIMARY KEY (subject, entry_id),
    FOREIGN KEY (subject, entry_id) REFERENCES audit.subject_index (index_key, entry_id) ON DELETE CASCADE
);
CREATE INDEX attention_subject_entry ON audit.attention_subject (entry_index);
COMMENT ON TABLE audit.attention_subject IS
    'Which accesses are about one person; goes with the index of subjects, by erasure and by retention';

CREATE TABLE audit.attention_related (
    agency    text NOT NULL,
    officer   text NOT NULL,
    index_key bytea NOT NULL CHECK (octet_length(index_key) = 32),
    relation  text NOT NULL CHECK (relation IN ('self', 'family')),
    noted_by  text NOT NULL,
    noted_at  timestamptz NOT NULL,
    PRIMARY KEY (agency, officer, index_key)
);
CREATE INDEX attention_related_key ON audit.attention_related (index_key);
COMMENT ON TABLE audit.attention_related IS
    'Whose records an officer should not look up, as keys that only the vault can tie to a person';

CREATE TABLE audit.attention_flag (
    flag_id     uuid PRIMARY KEY,
    rule        text NOT NULL,
    agency      text NOT NULL,
    who         text NOT NULL,
    purpose     text NOT NULL,
    score       double precision NOT NULL,
    threshold   double precision NOT NULL,
    state       text NOT NULL CHECK (state IN ('open', 'suppressed', 'judged')),
    lesson_id   uuid,
    flagged_at  timestamptz NOT NULL,
    entries     integer NOT NULL,
    first_index bigint NOT NULL,
    last_index  bigint NOT NULL,
    verdict     text CHECK (verdict IN ('justified', 'misuse', 'unclear')),
    reason      text,
    judged_by   text,
    judged_at   timestamptz,
    CHECK ((state = 'judged') = (verdict IS NOT NULL AND judged_by IS NOT NULL AND judged_at IS NOT NULL))
);
CREATE INDEX attention_flag_open ON audit.attention_flag (flagged_at) WHERE state = 'open';

CREATE TABLE audit.attention_flag_entry (
    flag_id     uuid NOT NULL REFERENCES audit.attention_flag ON DELETE CASCADE,
    entry_index bigint NOT NULL,
    PRIMARY KEY (flag_id, entry_index)
);
CREATE INDEX attention_flag_entry_index ON audit.attention_flag_entry (entry_index);

CREATE TABLE audit.attention_lesson (
    lesson_id  uuid PRIMARY KEY,
    rule       text NOT NULL,
    agency     text NOT NULL,
    who        text NOT NULL,
    purpose    text NOT NULL,
    threshold  double precision NOT NULL,
    flag_id    uuid NOT NULL REFERENCES audit.attention_flag,
    learned_by text NOT NULL,
    learned_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > learned_at)
);
COMMENT ON TABLE audit.attention_lesson IS
    'From which score on a rule flags one officer and purpose, because of a verdict, and until when';

GRANT SELECT ON audit.subject_index TO lintas_monitor;
GRANT INSERT ON audit.outbox, audit.sealed, audit.subject_index TO lintas_monitor;
GRANT SELECT, UPDATE ON audit.attention_state TO lintas_monitor;
GRANT SELECT, INSERT ON audit.attention_set_aside TO lintas_monitor;
GRANT SELECT ON audit.attention_set_aside TO lintas_auditor, lintas_steward;
GRANT SELECT, INSERT, DELETE ON audit.attention_access, audit.attention_subject TO lintas_monitor;
GRANT SELECT ON audit.attention_related, audit.attention_lesson TO lintas_monitor;
GRANT SELECT, INSERT ON audit.attention_flag, audit.attention_flag_entry TO lintas_monitor;
GRANT UPDATE (score, threshold, state, lesson_id, entries, first_index, last_index)
    ON audit.attention_flag TO lintas_monitor;

GRANT SELECT ON audit.attention_state, audit.attention_flag, audit.attention_flag_entry,
    audit.attention_lesson TO lintas_auditor;
GRANT SELECT (agency, officer, relation, noted_by, noted_at), INSERT, DELETE ON audit.attention_related
    TO lintas_auditor;
GRANT UPDATE (state, verdict, reason, judged_by, judged_at) ON audit.attention_flag TO lintas_auditor;
GRANT INSERT ON audit.attention_lesson TO lintas_auditor;
GRANT SELECT (flag_id, rule, state, flagged_at) ON audit.attention_flag TO lintas_steward;
"""

_DOWN = """
DROP TABLE audit.attention_lesson, audit.attention_flag_entry, audit.attention_flag, audit.attention_related,
    audit.attention_subject, audit.attention_access, audit.attention_set_aside, audit.attention_state,
    audit.stream;
DROP INDEX audit.subject_index_entry;
REVOKE ALL ON audit.outbox, audit.sealed, audit.subject_index FROM lintas_monitor;
REVOKE ALL ON audit.entries, audit.checkpoints, audit.log_state FROM lintas_monitor;
REVOKE USAGE ON SCHEMA audit FROM lintas_monitor;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_STREAMS + _ATTENTION)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
