"""How often each item was clicked in each hour, counted from the events there are."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and fill it; drop the index by which events were counted so far."""
    op.create_table(
        "item_hours",
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("item_id", sa.String(256), primary_key=True),
        sa.Column("times", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_item_hours_item_id", "item_hours", ["item_id", "hour"])
    # SQLite's cast cuts off, PostgreSQL's rounds; SQLite may be built without floor().
    whole = "timestamp / 3600" if op.get_bind().dialect.name == "sqlite" else "floor(timestamp / 3600)"
    op.execute(
        f"INSERT INTO item_hours (hour, item_id, times) SELECT CAST({whole} AS INTEGER), item_id, count(*) FROM events "  # noqa: S608
        "WHERE kind IN ('view', 'click', 'like', 'cart', 'purchase') GROUP BY 1, 2"
    )
    op.drop_index("ix_events_timestamp", "events")


def downgrade() -> None:
    """Drop it, and count events again."""
    op.create_index("ix_events_timestamp", "events", ["timestamp", "item_id"])
    op.drop_table("item_hours")
