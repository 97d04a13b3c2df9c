"""Backfills: how far each has come, what it refused, and which owed versions it brought."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the column by which the outbox knows what came with a backfill."""
    op.create_table(
        "backfills",
        sa.Column("backfill_id", sa.String(32), primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("unchanged", sa.BigInteger, nullable=False),
        sa.Column("overtaken", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("rate", sa.Double),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("busy_s", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "backfill_problems",
        sa.Column("backfill_id", sa.String(32), sa.ForeignKey("backfills.backfill_id"), primary_key=True),
        sa.Column("row", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
    )
    op.add_column("outbox", sa.Column("backfill_id", sa.String(32)))
    of_backfills = sa.text("backfill_id IS NOT NULL")
    op.create_index(
        "ix_outbox_backfill_id", "outbox", ["backfill_id", "due_at"],
        sqlite_where=of_backfills, postgresql_where=of_backfills,
    )  # fmt: skip


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_outbox_backfill_id", "outbox")
    op.drop_column("outbox", "backfill_id")
    op.drop_table("backfill_problems")
    op.drop_table("backfills")
