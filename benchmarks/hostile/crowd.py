"""Many large bodies at once, each sent but for its end: what a service holds of bodies that it cannot answer yet."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import httpx

PIECE = b" " * 65_536
HEAD = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Outcome:
    """How many bodies were all but sent, and how many refused with 503 before; any other answer is an error."""

    held: int
    refused: int
    errors: int


async def attempt(service: httpx.URL, clients: int, *, size: int) -> Outcome:
    """Let each client send a body of the size but for its last piece, and none hang up before all are so far."""
    together = asyncio.Barrier(clients)
    async with asyncio.timeout(TIMEOUT_S):
        answers = await asyncio.gather(*(_send(service, size, together) for _ in range(clients)))
    return Outcome(answers.count(None), answers.count(503), sum(each not in (None, 503) for each in answers))


async def _send(service: httpx.URL, size: int, together: asyncio.Barrier) -> int | None:
    """The status that the client was refused with; ``None`` where nothing was answered, as is right."""
    reader, writer = await asyncio.open_connection(service.host, service.port)
    answer = asyncio.create_task(reader.readline())
    try:
        writer.write(HEAD.format(size).encode())
        for _ in range(size // len(PIECE) - 1):
            if answer.done():
                break
            writer.write(PIECE)
            await writer.drain()
    except ConnectionError:
        pass
    await together.wait()
    refused = answer.done()
    try:
        return int((await answer).split()[1]) if refused else None
    except (ConnectionError, IndexError):  # hung up on in the middle of a piece, with the answer lost in it
        return 503
    finally:
        answer.cancel()
        writer.transport.abort()  # what is still to be sent would keep it open
        with suppress(ConnectionError):
            await writer.wait_closed()
