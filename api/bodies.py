"""Bodies are JSON, read by a parser that takes neither NaN, lone surrogates nor endless nesting."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException


class JsonRequest(Request):
    """A request whose body is parsed strictly."""

    async def json(self) -> Any:
        """The parsed body; the parser's errors are `json.JSONDecodeError`."""
        return orjson.loads(await self.body())


class JsonRoute(APIRoute):
    """A route that answers 415 to a body that does not say it is JSON, and reads it as `JsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler behind the check."""
        handle, takes_body = super().get_route_handler(), self.body_field is not None

        async def strict(request: Request) -> Response:
            if takes_body:
                _require_json(request)
            return await handle(JsonRequest(request.scope, request.receive))

        return strict


def _require_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise HTTPException(415, f"the body is {media_type or 'of no type'}; send Content-Type: application/json")
    if (coding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        raise HTTPException(415, f"the body is encoded as {coding}; send it as it is", {"Accept-Encoding": "identity"})
