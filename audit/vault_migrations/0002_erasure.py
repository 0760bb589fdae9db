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

CREATE TABLE vault.retired_kek (
    provider   text        NOT NULL,
    version    integer     NOT NULL,
    retired_at timestamptz NOT NULL,
    PRIMARY KEY (provider, version)
);
COMMENT ON TABLE vault.retired_kek IS 'Versions of the key-encryption key that were destroyed';

-- A process that began to mint before a version was retired must not end after it.
CREATE FUNCTION vault.refuse_retired() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM vault.retired_kek r
                WHERE r.provider = NEW.kek_provider AND r.version = NEW.kek_version) THEN
        RAISE serialization_failure USING MESSAGE = 'this version of the key-encryption key was retired';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_retired BEFORE INSERT OR UPDATE ON vault.subjects
    FOR EACH ROW EXECUTE FUNCTION vault.refuse_retired();

CREATE FUNCTION vault.retire_kek(old_provider text, old_version integer, at timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    still bigint;
BEGIN
    LOCK TABLE vault.subjects IN SHARE ROW EXCLUSIVE MODE;
    SELECT count(*) INTO still FROM vault.subjects
     WHERE kek_provider = old_provider AND kek_version = old_version;
    IF still = 0 THEN
        INSERT INTO vault.retired_kek VALUES (old_provider, old_version, at) ON CONFLICT DO NOTHING;
    END IF;
    RETURN still;
END $$;
REVOKE ALL ON FUNCTION vault.retire_kek, vault.refuse_retired FROM PUBLIC;

GRANT EXECUTE ON FUNCTION vault.retire_kek TO lintas_steward;
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
DROP TRIGGER refuse_retired ON vault.subjects;
DROP FUNCTION vault.retire_kek, vault.refuse_retired, vault.forget;
DROP TABLE vault.retired_kek, vault.kek_rotation, vault.erasure_epoch;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
