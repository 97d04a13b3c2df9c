"""Clients that cost little beside a service on the same processors: HTTP/1.1 over plain sockets, connections kept."""

import asyncio
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Milliseconds of each request while many clients ask without a pause, and requests answered a second."""

    ms: list[float]
    rps: float


def request(target: str, body: bytes | None = None) -> bytes:
    """A GET of a target, or a POST of JSON to it."""
    if body is None:
        return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Client:
    """One client, one request after another; ``last`` is the body that came last."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.last = b""

    def ask(self, asked: bytes) -> float:
        """Milliseconds until the whole answer is there; `RuntimeError` for any status but 200."""
        start = perf_counter()
        self._socket.sendall(asked)
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._received()
        whole = end + 4 + _length(got[: end + 2])
        while len(got) < whole:
            got += self._received()
        elapsed = (perf_counter() - start) * 1000
        self.last = got[end + 4 :]
        return elapsed

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _received(self) -> bytes:
        if not (part := self._socket.recv(65_536)):
            raise RuntimeError("the service hung up")
        return part


async def _crowd(url: str, asked: Sequence[bytes], clients: int) -> Crowd:
    address, ms = urlsplit(url), list[float]()

    async def one(mine: Sequence[bytes]) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for each in mine:
            start = perf_counter()
            writer.write(each)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(head))
            ms.append((perf_counter() - start) * 1000)
        writer.close()

    start = perf_counter()
    await asyncio.gather(*(one(asked[n::clients]) for n in range(clients)))
    return Crowd(ms, len(asked) / (perf_counter() - start))


def crowd(url: str, asked: Sequence[bytes], clients: int) -> Crowd:
    """Send the requests, so many at a time."""
    return asyncio.run(_crowd(url, asked, clients))


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200 ") or found is None:
        raise RuntimeError(f"answered {head[:200]!r}")
    return int(found[1])
