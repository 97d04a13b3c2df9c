"""Experiments, and what their units were shown."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "experiments",
        sa.Column("experiment_id", sa.String(256), primary_key=True),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("design", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_index("ix_experiments_status", "experiments", ["status"])
    op.create_table(
        "exposures",
        sa.Column("experiment_id", sa.String(256), primary_key=True),
        sa.Column("exposure_id", sa.String(256), primary_key=True),
        sa.Column("arm", sa.String(256), nullable=False),
        sa.Column("unit", sa.String(256), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("window", sa.Text, nullable=False),
        sa.Column("watermark", sa.Double, nullable=False),
        sa.Column("degraded", sa.Boolean, nullable=False),
        sa.Column("places", sa.JSON, nullable=False),
    )
    op.create_index("ix_exposures_unit", "exposures", ["unit"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("exposures")
    op.drop_table("experiments")
