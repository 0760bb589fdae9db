"""Erasing subjects, and rotating the key-encryption key."""

from alembic import op

revision = "0002_erasure"
down_revision = "0001_vault"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE vault.erasure_epoch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    bigint NOT NULL
);
INSERT INTO vault.erasure_epoch (epoch) VALUES (0);
COMMENT ON TABLE vault.erasure_epoch IS
    'Grows with every erasure; a process that caches keys lets go of them when it sees another epoch';

CREATE FUNCTION vault.forget(forgotten uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    DELETE FROM vault.subjects WHERE handle = forgotten;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE vault.erasure_epoch SET epoch = epoch + 1;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION vault.forget FROM PUBLIC;

CREATE TABLE vault.kek_rotation (
    rotation_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider    text        NOT NULL,
    version     integer     NOT NULL CHECK (version > 0),
    started_at  timestamptz NOT NULL,
    started_by  text        NOT NULL,
    rewrapped   bigint      NOT NULL DEFAULT 0,
    finished_at timestamptz
);
CREATE UNIQUE INDEX kek_rotation_open ON vault.kek_rotation ((true)) WHERE finished_at IS NULL;
COMMENT ON TABLE vault.kek_rotation IS 'Rotations of the key-encryption key; one that was cut short goes on';

GRANT SELECT ON vault.erasure_epoch TO lintas_api, lintas_dispatcher, lintas_steward;
GRANT EXECUTE ON FUNCTION vault.forget TO lintas_steward;
GRANT UPDATE (sealed_identifier, wrapped_keys, kek_provider, kek_version) ON vault.subjects TO lintas_steward;
GRANT MAINTAIN ON vault.subjects TO lintas_steward;
GRANT SELECT, INSERT ON vault.kek_rotation TO lintas_steward;
GRANT UPDATE (rewrapped, finished_at) ON vault.kek_rotation TO lintas_steward;
"""

_DOWN = """
REVOKE UPDATE (sealed_identifier, wrapped_keys, kek_provider, kek_version) ON vault.subjects
    FROM lintas_steward;
REVOKE MAINTAIN ON vault.subjects FROM lintas_steward;
DROP TABLE vault.kek_rotation;
DROP FUNCTION vault.forget;
DROP TABLE vault.erasure_epoch;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
