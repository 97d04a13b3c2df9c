"""An index of cold items alone: newcomers are looked for every second, among however many warm items."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it."""
    op.create_index(
        "ix_items_cold", "items", ["status", "accepted_at", "item_id", "cold"],
        sqlite_where=sa.text("cold = 1"), postgresql_where=sa.text("cold"),
    )  # fmt: skip


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_items_cold", "items")
