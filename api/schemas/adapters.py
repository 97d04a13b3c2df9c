"""Adapter versions, as the HTTP interface takes and gives them."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from api.schemas.answers import moment
from coldstart.bodies import Body
from coldstart.catalog.adapters import AdapterRecord, AdapterStatus


class NewAdapterBody(Body):
    """An adapter's folder, by its name beneath `DATA_DIR/artifacts`: nothing leads out of there."""

    folder: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", examples=["adapter-2"])]


class AdapterView(BaseModel):
    """An adapter version as it stands."""

    version: str
    status: AdapterStatus = Field(
        description="`registered`, then `projecting` until every item is placed in its space, then `ready`; `live`: it "
        "is served; `previous`: it was, and is the way back; `retired`, `failed`: it is kept no longer"
    )
    projected: int = Field(description="Items that are placed in its space, while it is `projecting`")
    total: int = Field(description="Items that are to be")
    registered_at: datetime
    ready_at: datetime | None
    live_at: datetime | None = Field(description="When it was last promoted or rolled back to")
    backbone: str = Field(description="SHA-256 of the backbone that it was trained on")
    text_encoder: str
    image_encoder: str
    error: str | None = Field(description="Why it failed")

    @classmethod
    def of(cls, record: AdapterRecord) -> Self:
        """As the store holds it."""
        own = record.identity
        ready, live = (None if at is None else moment(at) for at in (record.ready_at, record.live_at))
        return cls(
            version=record.version, status=record.status, projected=record.projected, total=record.total,
            registered_at=moment(record.registered_at), ready_at=ready, live_at=live, backbone=own.backbone,
            text_encoder=own.text_encoder, image_encoder=own.image_encoder, error=record.error,
        )  # fmt: skip


class AdapterCardView(AdapterView):
    """The same, with what its card says of its training and its evaluation, in Markdown."""

    card: str

    @classmethod
    def of(cls, record: AdapterRecord) -> Self:
        """As the store holds it."""
        return cls(**AdapterView.of(record).model_dump(), card=record.identity.card)


class AdaptersView(BaseModel):
    """Oldest first."""

    adapters: list[AdapterView]
