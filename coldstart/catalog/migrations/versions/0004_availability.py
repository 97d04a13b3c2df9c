"""From when and until when lists show an item."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns: without a time, an item is shown at any."""
    op.add_column("items", sa.Column("published_at", sa.Double))
    op.add_column("items", sa.Column("expires_at", sa.Double))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("items", "published_at")
    op.drop_column("items", "expires_at")
