"""Who may call what. Every route says what it needs, and cannot be made without saying so.

    @router.put("/{item_id:id}")
    @needs(Scope.WRITE)
    async def put_item(...): ...

The check comes before anything of the request is read. Where no key was ever made everybody may do everything, which
`coldstart serve` allows on loopback addresses alone.
"""

from collections.abc import Callable, Coroutine
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response

from api.bodies import JsonRoute
from api.keyring import Keyring
from api.problems import documented
from api.rates import Buckets
from coldstart.access import ApiKey, Scope
from coldstart.errors import Forbidden, RateLimited, Unauthorized

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
SCHEME = "key"


def needs(scope: Scope) -> Callable[[Endpoint], Endpoint]:
    """Declare that an endpoint is for keys of this scope or a wider one."""

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.access = scope  # type: ignore[attr-defined]
        return endpoint

    return declare


def at_once(answer: Callable[[Request], Response | None]) -> Callable[[Endpoint], Endpoint]:
    """Declare what answers a request of the plain kind before FastAPI works out what the endpoint is given.

    That takes about as long as a list that is at hand. Where it returns ``None`` the endpoint answers.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.at_once = answer  # type: ignore[attr-defined]
        return endpoint

    return declare


def public(endpoint: Endpoint) -> Endpoint:
    """Declare that an endpoint is for everybody, at any rate."""
    endpoint.access = None  # type: ignore[attr-defined]
    return endpoint


class Guard:
    """Lets requests in: each at its caller's rate, and with a key that may do what it asks for.

    Parameters
    ----------
    keyring : Keyring, optional
        The keys there are; without it none is asked for.
    buckets : Buckets, optional
        What bounds the rate of each key, and of each address that sends no valid one; without it nothing does.
    """

    def __init__(self, keyring: Keyring | None = None, buckets: Buckets | None = None) -> None:
        self._keyring, self._buckets = keyring, buckets

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for."""
        return self._keyring is None or self._keyring.is_empty

    async def admit(self, request: Request, needed: Scope) -> ApiKey | None:
        """The caller's key, if it has one, where the request may go on.

        `RateLimited`, `Unauthorized` or `Forbidden` where it may not.
        """
        key = self._key_of(request)
        if self._buckets is not None:
            await _count(self._buckets, f"key {key.key_id}" if key else f"address {_address(request)}")
        if self.is_open:
            return None
        if key is None:
            sent = "authorization" in request.headers
            raise Unauthorized(
                "the API key is not one of this service, or is revoked" if sent else "this needs an API key",
                remedy="Send one as Authorization: Bearer cs_...; its operator makes it with coldstart keys create",
            )
        if not key.scope.allows(needed):
            raise Forbidden(
                f"the API key's scope is {key.scope}, and this needs {needed}", subject=key.key_id,
                remedy=f"Use a key that was made with --scope {needed}",
            )  # fmt: skip
        return key

    def _key_of(self, request: Request) -> ApiKey | None:
        """By the bytes of the header: what clients send there may be anything."""
        if self._keyring is None:
            return None
        sent = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if len(sent) != 1:
            return None
        scheme, _, token = sent[0].partition(b" ")
        return self._keyring.find(token.strip()) if scheme.lower() == b"bearer" else None


async def _count(buckets: Buckets, caller: str) -> None:
    if (wait_s := await buckets.take(caller)) > 0:
        raise RateLimited("this caller asks too often", subject=caller, retry_after_s=ceil(wait_s))


def _address(request: Request) -> str:
    """The client's; of IPv6 its network, as one client has a whole network of addresses."""
    host = request.client.host if request.client else "unknown"
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((int(address), 64), strict=False)) if isinstance(address, IPv6Address) else host


class GuardedRoute(JsonRoute):
    """A route that asks the application's `Guard` first; `TypeError` where its endpoint does not say what it needs."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        try:
            self.access: Scope | None = endpoint.access  # type: ignore[attr-defined]
        except AttributeError:
            raise TypeError(f"{endpoint.__qualname__} is neither @public nor says @needs(Scope...)") from None
        if self.access is not None:
            refusals = (401, 429) if self.access is Scope.READ else (401, 403, 429)  # every key may read
            options["responses"] = {**documented(*refusals), **(options.get("responses") or {})}
            options["openapi_extra"] = {"security": [{SCHEME: [self.access]}]}
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the guard, and before it what answers at once."""
        handle, needed = super().get_route_handler(), self.access
        quick: Callable[[Request], Response | None] | None = getattr(self.endpoint, "at_once", None)

        async def guarded(request: Request) -> Response:
            if needed is not None:
                guard: Guard = request.app.state.guard
                key = await guard.admit(request, needed)
                request.state.caller = None if key is None else key.key_id
            if quick is not None and (answer := quick(request)) is not None:
                return answer
            return await handle(request)

        return guarded


def caller_of(request: Request) -> str | None:
    """The id of the key that the request was let in with; ``None`` for one that came without."""
    caller: str | None = request.state.caller
    return caller


def document(app: FastAPI) -> None:
    """Put what `GuardedRoute` refers to into the OpenAPI document."""
    openapi = app.openapi

    def with_scheme() -> dict[str, Any]:
        about = "`Bearer cs_...`, from `coldstart keys create`. Not asked for while a service has no key."
        scheme = {"type": "http", "scheme": "bearer", "description": about}
        document = openapi()
        document["components"]["securitySchemes"] = {SCHEME: scheme}
        return document

    app.openapi = with_scheme  # type: ignore[method-assign]
