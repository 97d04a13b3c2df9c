"""Items, their pictures, the outbox and the events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the four tables."""
    op.create_table(
        "media",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "items",
        sa.Column("item_id", sa.String(256), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("source_version", sa.BigInteger),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("image", sa.Text),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("picture_sha256", sa.String(64), sa.ForeignKey("media.sha256")),
        sa.Column("accepted_at", sa.Double, nullable=False),
        sa.Column("claimed_at", sa.Double),
        sa.Column("encoded_at", sa.Double),
        sa.Column("retrievable_at", sa.Double),
        sa.Column("error", sa.Text),
        sa.Column("picture_error", sa.Text),
        sa.Column("gates", sa.JSON, nullable=False),
        sa.Column("cold", sa.Boolean),
        sa.Column("adapter_version", sa.Text),
        sa.Column("text_embedding", sa.LargeBinary),
        sa.Column("image_embedding", sa.LargeBinary),
        sa.Column("vector", sa.LargeBinary),
    )
    op.create_index("ix_items_accepted_at", "items", ["accepted_at", "item_id"])
    op.create_index("ix_items_status", "items", ["status", "accepted_at", "item_id"])
    op.create_index("ix_items_picture_sha256", "items", ["picture_sha256"])
    op.create_table(
        "outbox",
        sa.Column("item_id", sa.String(256), sa.ForeignKey("items.item_id"), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("due_at", sa.Double),
        sa.Column("leased", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
    )
    op.create_index("ix_outbox_due", "outbox", ["stage", "leased", sa.text("priority DESC"), "due_at"])
    op.create_table(
        "events",
        sa.Column("event_id", sa.String(256), primary_key=True),
        sa.Column("user_id", sa.String(256), nullable=False),
        sa.Column("item_id", sa.String(256), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("timestamp", sa.Double, nullable=False),
        sa.Column("received_at", sa.Double, nullable=False),
    )
    op.create_index("ix_events_user_id", "events", ["user_id", "timestamp"])
    op.create_index("ix_events_timestamp", "events", ["timestamp", "item_id"])


def downgrade() -> None:
    """Drop them."""
    for table in ("events", "outbox", "items", "media"):
        op.drop_table(table)
