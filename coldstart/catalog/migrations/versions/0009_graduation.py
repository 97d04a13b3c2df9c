"""Which new items were clicked since they were last moved, and by how many clicks each was."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, the marks and the index that finds who clicked an item; what was clicked before is marked."""
    op.add_column("items", sa.Column("clicks", sa.BigInteger))
    op.add_column("items", sa.Column("other_clicks", sa.BigInteger))
    op.add_column("items", sa.Column("click_weight", sa.Double))
    op.create_table(
        "click_marks",
        sa.Column("item_id", sa.String(256), primary_key=True),
        sa.Column("times", sa.BigInteger, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
    )
    op.create_index("ix_events_item_id", "events", ["item_id", "user_id"])
    op.execute(
        "INSERT INTO click_marks (item_id, times, since) SELECT item_id, 1, accepted_at FROM items"
        " WHERE cold AND NOT deleted AND EXISTS (SELECT 1 FROM events WHERE events.item_id = items.item_id)"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_events_item_id", "events")
    op.drop_table("click_marks")
    for column in ("clicks", "other_clicks", "click_weight"):
        op.drop_column("items", column)
