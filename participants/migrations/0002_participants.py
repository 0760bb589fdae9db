"""Who takes part: agencies, systems, officers with their roles, and everybody's public keys."""

from alembic import op

revision = "0002_participants"
down_revision = "0001_foundation"
branch_labels = None
depends_on = None

_READERS = "lintas_ingest, lintas_api, lintas_sequencer, lintas_steward, lintas_auditor"


def upgrade() -> None:
    op.execute("CREATE SCHEMA participants")
    op.execute(
        """
        CREATE TABLE participants.agency (
            agency_id text PRIMARY KEY CHECK (agency_id ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
            name text NOT NULL CHECK (name <> ''),
            kind text NOT NULL,
            status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
            registered_at timestamptz NOT NULL
        )
        """
    )
    op.execute(
        """
        CREATE TABLE participants.system (
            system_id text PRIMARY KEY CHECK (system_id ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
            agency_id text NOT NULL REFERENCES participants.agency,
            name text NOT NULL CHECK (name <> ''),
            kind text NOT NULL CHECK (kind IN ('source', 'portal', 'bus')),
            endpoint_url text,
            ca_certificate_pem text,
            status text NOT NULL CHECK (status IN ('active', 'suspended')),
            registered_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX system_agency ON participants.system (agency_id)")
    op.execute(
        """
        CREATE TABLE participants.officer (
            officer_id text PRIMARY KEY CHECK (officer_id ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
            agency_id text NOT NULL REFERENCES participants.agency,
            pseudonym text NOT NULL UNIQUE,
            registered_at timestamptz NOT NULL
        )
        """
    )
    op.execute(
        """
        CREATE TABLE participants.officer_role (
            officer_id text NOT NULL REFERENCES participants.officer,
            role text NOT NULL CHECK (role IN
                ('steward', 'operator', 'auditor', 'assisting-officer', 'deciding-officer')),
            valid_from timestamptz NOT NULL,
            valid_to timestamptz CHECK (valid_to >= valid_from),
            assigned_by text NOT NULL,
            PRIMARY KEY (officer_id, role, valid_from)
        )
        """
    )
    op.execute(
        """
        CREATE UNIQUE INDEX officer_role_open ON participants.officer_role (officer_id, role)
        WHERE valid_to IS NULL
        """
    )
    op.execute(
        """
        CREATE TABLE participants.public_key (
            kid text PRIMARY KEY,
            owner_kind text NOT NULL CHECK (owner_kind IN ('agency', 'system', 'officer', 'log', 'bus')),
            owner_id text NOT NULL,
            use text NOT NULL,
            algorithm text NOT NULL CHECK (algorithm IN ('ed25519', 'x25519')),
            public_jwk jsonb NOT NULL,
            fingerprint text NOT NULL,
            valid_from timestamptz NOT NULL,
            valid_to timestamptz CHECK (valid_to >= valid_from),
            ended_because text,
            vouched_by text NOT NULL
        )
        """
    )
    op.execute(
        "CREATE INDEX public_key_owner ON participants.public_key (owner_kind, owner_id, use, valid_from)"
    )
    op.execute(f"GRANT USAGE ON SCHEMA participants TO {_READERS}")
    op.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA participants TO {_READERS}")
    # Registration is a steward's act. A published key never changes: only its end can be set.
    op.execute(
        """
        GRANT INSERT ON participants.agency, participants.system, participants.officer,
            participants.officer_role, participants.public_key TO lintas_steward
        """
    )
    op.execute("GRANT UPDATE (name, kind, status) ON participants.agency TO lintas_steward")
    op.execute(
        """
        GRANT UPDATE (name, endpoint_url, ca_certificate_pem, status, changed_at)
            ON participants.system TO lintas_steward
        """
    )
    op.execute("GRANT UPDATE (valid_to) ON participants.officer_role TO lintas_steward")
    op.execute("GRANT UPDATE (valid_to, ended_because) ON participants.public_key TO lintas_steward")


def downgrade() -> None:
    op.execute("DROP SCHEMA participants CASCADE")
