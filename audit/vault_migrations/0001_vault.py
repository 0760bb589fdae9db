"""The vault: which identifier a handle stands for, and each subject's wrapped keys."""

from alembic import op

revision = "0001_vault"
down_revision = None
branch_labels = None
depends_on = None

_UP = """
CREATE SCHEMA IF NOT EXISTS vault;

CREATE TABLE vault.subjects (
    handle            uuid PRIMARY KEY,
    identifier_kind   text NOT NULL,
    identifier_index  bytea NOT NULL UNIQUE CHECK (octet_length(identifier_index) = 32),
    sealed_identifier bytea NOT NULL,
    wrapped_keys      bytea NOT NULL,
    kek_provider      text NOT NULL CHECK (kek_provider IN ('keyring', 'transit', 'pkcs11')),
    kek_version       integer NOT NULL CHECK (kek_version > 0),
    minted_at         timestamptz NOT NULL
);
COMMENT ON TABLE vault.subjects IS
    'Handle to identifier (keyed index and sealed) and per-subject keys, wrapped by the key-encryption key';

GRANT USAGE ON SCHEMA vault TO lintas_api, lintas_dispatcher, lintas_steward;
GRANT SELECT, INSERT ON vault.subjects TO lintas_api, lintas_steward;
GRANT SELECT (identifier_index, handle, wrapped_keys, kek_provider, kek_version), INSERT ON vault.subjects
    TO lintas_dispatcher;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql("DROP TABLE vault.subjects; DROP SCHEMA vault;")
