"""Erasure of persons from the log's personal part."""

from alembic import op

revision = "0010_erasure"
down_revision = "0009_witnesses"
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
