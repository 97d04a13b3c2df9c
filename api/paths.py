"""Ids in addresses: any text, percent-encoded. Routes are matched before decoding, so that ``a%2Fb`` stays one id."""

from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Path
from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

from coldstart.bodies import Id
from coldstart.errors import InvalidInput


class EncodedPath:
    """Puts the address as it was sent, percent-encoded, in the place of the decoded one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and scope.get("raw_path"):
            scope["path"] = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        await self._app(scope, receive, send)


class IdConvertor(Convertor[str]):
    """``{item_id:id}``: the decoded id. A slash that was sent as it is belongs to the id too."""

    regex = ".+"

    def convert(self, value: str) -> str:
        """Text from its percent-encoded UTF-8."""
        try:
            return unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise InvalidInput(
                "the id in the address is not UTF-8", subject=value[:100], remedy="Percent-encode its UTF-8 bytes"
            ) from None

    def to_string(self, value: str) -> str:
        """The id as an address carries it."""
        return quote(value, safe="")


register_url_convertor("id", IdConvertor())

ItemId = Annotated[Id, Path(description="The item's id, percent-encoded", examples=["sku-17"])]
ExperimentId = Annotated[Id, Path(description="The experiment's id, percent-encoded", examples=["diversity-1"])]
BackfillId = Annotated[Id, Path(description="The backfill's id, as the list shows it", examples=["4f1a09c2"])]
UserId = Annotated[Id, Path(description="The user's id, percent-encoded", examples=["u-7"])]
