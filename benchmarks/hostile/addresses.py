"""Addresses that mean harm, fetched where the whole internet is two listeners on loopback.

Whatever a connection is asked to for a public address reaches a server that redirects as its path says; for any other
address it reaches the canary, which counts. No packet leaves the machine.
"""

import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import httpcore

from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.network import Connector
from coldstart.errors import InvalidInput, Unavailable

PUBLIC = "93.184.216.34"
TARGETS = (
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "017700000001", "0", "127.0.0.1."),
    "0.0.0.0",  # noqa: S104
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "2852039166", "0xa9fea9fe"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "192.88.99.1"),
    *("[::1]", "[::]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]"),
    *("[2002:7f00:1::]", "[2001:0:7f00:1:8000:63bf:80ff:fffe]", "[fe80::1]", "[fc00::1]"),
    *("[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[3fff::1]", "[5f00::1]"),
    *("loopback.test", "metadata.test", "mixed.test", "six.test", "127.0.0.1.test", "none.test"),
)
ODD = (
    *("http://user:secret@public.test/", "http://public.test@127.0.0.1/", "http://public.test\\@127.0.0.1/"),
    *("http://public.test:22/", "http://public.test:6333/", "http://public.test:99999/", "https://public.test:0/"),
    *("ftp://public.test/", "file:///etc/passwd", "gopher://public.test/_x", "dict://127.0.0.1:6379/", "//127.0.0.1/"),
    *("http://", "http:///x", "http://[::1/", "http://\u2460\u2461\u2466.0.0.1/", "http://１２７.0.0.1/", ""),
    *(
        "http://public.test/\r\nHost: evil",
        "http://pub\0lic.test/",
        "http://" + "a" * 70 + ".test/",
        "http://127。0。0。1/",
    ),
    *(
        "http://public.test/?" + "x" * 2000,
        "http://public.test/huge",
        "http://public.test/circle",
        "http://public.test/trickle",
    ),
)
NAMES = {
    "public.test": [PUBLIC],
    "loopback.test": ["127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "mixed.test": [PUBLIC, "127.0.0.1"],
    "six.test": ["::ffff:127.0.0.1"],
    "127.0.0.1.test": ["127.0.0.1"],
    "none.test": [],
}
FLIPS = 8
BODY_CAP, PATIENCE_S = 200_000, 0.3
HUGE = 10_000_000_000


def urls() -> list[str]:
    """Each hidden target by itself and behind a redirect, odd spellings, and names that change their answer."""
    direct = [f"http://{target}/" for target in TARGETS]
    hops = [f"http://public.test/to/{quote(url, safe='')}" for url in direct]
    flips = [f"http://flip{n}.test/to/{quote(f'http://flip{n}.test/', safe='')}" for n in range(FLIPS)]
    return [*direct, *hops, *ODD, *flips]


@dataclass
class Outcome:
    """How the fetches ended; ``errors`` are of kinds that a caller is not told to expect."""

    refused: int = 0
    fetched: int = 0
    canary_hits: int = 0
    errors: list[str] = field(default_factory=list)


def attempt(addresses: Sequence[str]) -> Outcome:
    """Fetch each."""
    outcome = Outcome()
    with _listening(_Server) as server, _listening(_Canary) as canary:
        fetcher = Fetcher(
            ["*"], resolver=_Resolver(), connector=_connector(server, canary), max_bytes=BODY_CAP, timeout_s=PATIENCE_S
        )
        for url in addresses:
            try:
                fetcher.fetch(url)
                outcome.fetched += 1
            except (InvalidInput, Unavailable):
                outcome.refused += 1
            except Exception as error:  # what the benchmark is here to find
                outcome.errors.append(f"{url[:80]!r}: {type(error).__name__}: {error}")
        outcome.canary_hits = canary.hits
    return outcome


class _Resolver:
    """Scripted names, of which ``flipN.test`` is public once and loopback ever after; numbers are parsed offline."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def __call__(self, host: str, port: int) -> Sequence[str]:
        if host.startswith("flip"):
            if host in self._asked:
                return ["127.0.0.1"]
            self._asked.add(host)
            return [PUBLIC]
        if host in NAMES:
            return NAMES[host]
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [str(row[4][0]) for row in rows]


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    hits = 0
    closing: threading.Event


class _Canary(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        self.server.hits += 1


class _Server(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        try:
            self._answer(self.request.recv(65536).split(b" ")[1].decode("latin-1"))
        except (OSError, IndexError):  # the client has hung up, or spoke TLS
            pass

    def _answer(self, path: str) -> None:
        send = self.request.sendall
        if path.startswith("/to/"):
            location = unquote(path.removeprefix("/to/"))
            send(f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n".encode())
        elif path == "/circle":
            send(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /circle\r\n\r\n")
        elif path == "/huge":
            send(f"HTTP/1.1 200 OK\r\nContent-Length: {HUGE}\r\n\r\n".encode())
            while not self.server.closing.is_set():
                send(bytes(65536))
        elif path == "/trickle":
            send(b"HTTP/1.1 200 OK\r\nX: ")
            while not self.server.closing.wait(0.02):
                send(b"a")
        else:
            send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npicture")


@contextmanager
def _listening(handler: type[socketserver.BaseRequestHandler]) -> Iterator[_Listener]:
    with _Listener(("127.0.0.1", 0), handler) as server:
        server.closing = threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def _connector(server: _Listener, canary: _Listener) -> Connector:
    def connect(address: str, port: int, timeout_s: float) -> httpcore.NetworkStream:
        place = server if address == PUBLIC else canary
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", place.server_address[1], timeout=timeout_s)

    return connect
