"""What agencies contradict each other about, and how identifiers of several registers belong together.

Revision ID: 0007_conflicts
Revises: 0006_verification
"""

from alembic import op

revision = "0007_conflicts"
down_revision = "0006_verification"
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
