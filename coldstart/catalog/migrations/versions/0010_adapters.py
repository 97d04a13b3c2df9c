"""Adapter versions, and where each is on its way from a folder to what is served."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "adapters",
        sa.Column("version", sa.String(32), primary_key=True),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("backbone", sa.String(64), nullable=False),
        sa.Column("text_encoder", sa.Text, nullable=False),
        sa.Column("image_encoder", sa.Text, nullable=False),
        sa.Column("card", sa.Text, nullable=False),
        sa.Column("registered_at", sa.Double, nullable=False),
        sa.Column("ready_at", sa.Double),
        sa.Column("live_at", sa.Double),
        sa.Column("projected", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("adapters")
