"""What bounds requests: so much at once, so much waiting or being sent, and a clear refusal beyond."""

import threading
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.limits import ALWAYS, BodyCap, Permits
from coldstart.errors import Unavailable


def test_work_beyond_the_waiting_room_is_refused_at_once() -> None:
    gate, done = threading.Event(), []

    async def scenario() -> None:
        permits = Permits(1, waiting=1)

        async def work() -> None:
            done.append(await permits.run(gate.wait, 20))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(work)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Unavailable, match="too many"):
                await permits.run(gate.wait, 20)
            gate.set()

    anyio.run(scenario)
    assert done == [True, True]


def test_errors_of_the_work_come_through() -> None:
    async def scenario() -> None:
        await Permits(1, waiting=1).run(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        anyio.run(scenario)


MAX = 4 * ALWAYS
PIECE = b"x" * ALWAYS


async def _length(request: Request) -> Response:
    return Response(str(len(await request.body())))


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Response(error.detail, error.status_code, error.headers)


@pytest.mark.parametrize("declared", [True, False])
def test_bodies_that_do_not_fit_beside_others_are_told_to_come_back_and_fit_later(declared: bool) -> None:
    """One is held up in the middle; beside it there is room for a small one, and then for as much as is left."""
    inner = Starlette(routes=[Route("/", _length, methods=["POST"])], exception_handlers={HTTPException: _refused})
    transport = httpx.ASGITransport(BodyCap(inner, max_bytes=MAX, in_flight=1))

    async def body(pieces: int, *, sent: anyio.Event | None = None, go_on: anyio.Event | None = None) -> httpx.Response:
        async def content() -> AsyncIterator[bytes]:
            for _ in range(pieces - 1):
                yield PIECE
            if sent is not None and go_on is not None:
                sent.set()
                await go_on.wait()
            yield PIECE

        headers = {"Content-Length": str(pieces * ALWAYS)} if declared else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/", content=content(), headers=headers)

    async def scenario() -> None:
        sent, go_on, held = anyio.Event(), anyio.Event(), list[httpx.Response]()

        async def hold() -> None:
            held.append(await body(4, sent=sent, go_on=go_on))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold)  # takes two pieces of the four there are, then three
            await sent.wait()
            refused = await body(4)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "memory" in refused.text
            assert (await body(1)).text == str(ALWAYS) and (await body(3)).text == str(3 * ALWAYS)
            go_on.set()
        assert held[0].text == str(MAX)
        assert (await body(4)).text == str(MAX)

    anyio.run(scenario)
