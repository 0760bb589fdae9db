"""Dossiers, reconciliation and breach queries."""

from alembic import op

revision = "0013_dossiers"
down_revision = "0012_attention"
branch_labels = None
depends_on = None

_UP = """
SELECT 1;
"""

_DOWN = """
SELECT 1;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DOWN)
