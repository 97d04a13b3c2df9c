"""Users, and what is remembered of those who were erased."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "users",
        sa.Column("user_id", sa.String(256), primary_key=True),
        sa.Column("merged_into", sa.String(256)),
        sa.Column("preferences", sa.Text),
        sa.Column("encoder", sa.Text),
        sa.Column("liked", sa.JSON, nullable=False),
        sa.Column("disliked", sa.JSON, nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("embedding", sa.LargeBinary),
    )
    op.create_index("ix_users_merged_into", "users", ["merged_into"])
    op.create_table(
        "erasures",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("erased_at", sa.Double, nullable=False),
    )
    op.create_index("ix_erasures_erased_at", "erasures", ["erased_at"])
    op.create_table(
        "deployment",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("deployment", "erasures", "users"):
        op.drop_table(table)
