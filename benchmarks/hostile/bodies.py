"""Bodies that mean harm: sent to a running service over plain sockets, as no client would."""

import json
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

import httpx

TIMEOUT_S = 60.0
PIECE = 65_536
CHUNKED_MB = 64


@dataclass(frozen=True)
class Body:
    """A request: ``chunked`` sends it without a length."""

    name: str
    method: str
    path: str
    content: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    chunked: bool = False


JSON = {
    "empty": b"",
    "a brace": b"{",
    "null": b"null",
    "a text": b'"text"',
    "a number": b"1",
    "not UTF-8": b'{"title": "\xff\xfe"}',
    "UTF-16": '{"title": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"title": "x"}',
    "a lone surrogate": rb'{"title": "\ud800"}',
    "NUL": rb'{"title": "a\u0000b"}',
    "a raw NUL": b'{"title": "a\0b"}',
    "NaN": b'{"title": "x", "attributes": {"a": NaN}}',
    "Infinity": b'{"title": "x", "attributes": {"a": -Infinity}}',
    "a float past the largest": b'{"title": "x", "attributes": {"a": 1e999}}',
    "a float of a million digits": b'{"title": "x", "attributes": {"a": 0.' + b"1" * 1_000_000 + b"}}",
    "an integer of a million digits": b'{"title": "x", "source_version": ' + b"9" * 1_000_000 + b"}",
    "an integer past 64 bits": b'{"title": "x", "attributes": {"a": 18446744073709551616}}',
    "an integer past 63 bits": b'{"title": "x", "attributes": {"a": 18446744073709551615}}',
    "minus zero": b'{"title": "x", "attributes": {"a": -0.0}}',
    "a denormal": b'{"title": "x", "attributes": {"a": 5e-324}}',
    "100,000 lists": b'{"title": "x", "attributes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "1000 lists": b'{"title": "x", "attributes": {"a": ' + b"[" * 1000 + b"]" * 1000 + b"}}",
    "a key twice": b'{"title": "x", "title": "y"}',
    "a million keys": b"{" + b",".join(b'"%d":1' % n for n in range(1_000_000)) + b"}",
    "keys of __proto__": b'{"title": "x", "attributes": {"__proto__": "y", "constructor": 1, "__class__": true}}',
    "keys with dots": b'{"title": "x", "attributes": {"a.b[0]": "y", "$where": "1", "a\\u0000": 2}}',
    "a comment": b'{"title": "x" /* y */}',
    "a comma too many": b'{"title": "x",}',
    "single quotes": b"{'title': 'x'}",
    "two documents": b'{"title": "x"}{"title": "y"}',
    "a title of 10 MB": json.dumps({"title": "x" * 10_000_000}).encode(),
    "a title of marks": json.dumps({"title": "\u0301" * 1_000_000}, ensure_ascii=False).encode(),
    "a text of marks": json.dumps({"title": "x", "text": "a" + "\u0301\u0316" * 49_999}).encode(),
    "preferences of marks": json.dumps({"preferences": "\u0301\u0316" * 2_000_000}, ensure_ascii=False).encode(),
    "a filter of a million": json.dumps({"filter": {"attributes.a": [*range(1_000_000)]}}).encode(),
    "a filter of nothing": b'{"filter": {"attributes.a": [], "attributes.": {}}}',
    "a range that ends before it begins": b'{"filter": {"attributes.a": {"gt": 9, "lt": -9}}}',
    "a clicked item a million times": json.dumps({"clicked": ["x"] * 1_000_000}).encode(),
    "odd ids": json.dumps({"clicked": ["../", "%00", "'; DROP TABLE items; --", "\u202e", "a" * 256]}).encode(),
    "a limit of minus one": b'{"limit": -1}',
    "a limit of truth": b'{"limit": true}',
    "events of nothing": b'{"events": [{}]}',
    "an event at the end of time": b'{"events": [{"event_id": "", "user_id": "", "item_id": "", "timestamp": 1e308}]}',
    "items that are none": b'{"items": [1, null, [], "x", {"item_id": {}}]}',
    "an id of NUL": rb'{"items": [{"item_id": "\u0000", "title": "x"}]}',
    "an image that is a path": b'{"title": "x", "image": "file:///etc/passwd"}',
    "an image of bad base64": b'{"title": "x", "image": "data:image/png;base64,' + b"=" * 1000 + b'"}',
    "an image of metadata": b'{"title": "x", "image": "http://169.254.169.254/latest/meta-data/"}',
}  # fmt: skip
PLACES = (("PUT", "/items/hostile-body"), ("POST", "/items/batch"), ("POST", "/recommendations"), ("POST", "/events"))
ODD_PATHS = (
    *("/items/%00", "/items/%FF%FE", "/items/%ED%A0%80", "/items/" + "a" * 257, "/items/" + "a" * 60_000),
    *("/items/..%2f..", "/items/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2fapp.py", "/static/%2e%2e/%2e%2e/app.py"),
    *("/static/%00", "/users/%F0%9F%91%A9/recommendations?limit=99999999999999999999", "//", "/?" + "a=1&" * 9000),
    *("/users/x/recommendations?limit=1e9", "/items?offset=-1", "/items?offset=9223372036854775808"),
    *("/items?status=%00", "/items/x/image?v=%00", "*", "/docs/..;/"),
)


def bodies() -> Iterator[Body]:
    """Every document at every place, addresses that are none, and bodies whose frame is the trick."""
    for name, content in JSON.items():
        for method, path in PLACES:
            yield Body(name, method, path, content)
    for path in ODD_PATHS:
        yield Body(f"the address {path[:30]}", "GET", path, b"", ())
    field = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    form = (("Content-Type", "multipart/form-data; boundary=x"),)
    yield Body("a form of many fields", "POST", "/events", field * 10_000, form)
    for name, value in {
        "Content-Encoding": "gzip",
        "Content-Type": "\xe9\x80;;;=json/+json" * 99,
        "Content-Length": "9" * 400,
        "Accept": "\xff" * 9000,
    }.items():
        yield Body(f"an odd {name}", "POST", "/events", b"{}", (("Content-Type", "application/json"), (name, value)))
    for method, path in PLACES:
        yield Body("chunked without an end", method, path, b'{"title": "', chunked=True)


def attempt(service: httpx.URL) -> tuple[Counter[int], float]:
    """How often each status was answered, 0 where the service hung up, and the slowest answer in milliseconds."""
    statuses: Counter[int] = Counter()
    slowest = 0.0
    for body in bodies():
        started = perf_counter()
        statuses[_send(service, body)] += 1
        slowest = max(slowest, (perf_counter() - started) * 1000)
    return statuses, slowest


def _send(service: httpx.URL, body: Body) -> int:
    with socket.create_connection((service.host, service.port or 80), timeout=TIMEOUT_S) as peer:
        with suppress(ConnectionError):  # hung up on in the middle; the answer may be there all the same
            peer.sendall(_head(body))
            if body.chunked:
                piece = b"%x\r\n" % PIECE + b"x" * PIECE + b"\r\n"
                for _ in range(CHUNKED_MB * 1_000_000 // PIECE):
                    peer.sendall(piece)
            else:
                peer.sendall(body.content)
        with suppress(ConnectionError):
            line = peer.makefile("rb").readline(200)
            if line.startswith(b"HTTP/1.1 "):
                return int(line.split()[1])
    return 0


def _head(body: Body) -> bytes:
    lines = [f"{body.method} {body.path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in body.headers]
    if body.chunked:
        lines.append("Transfer-Encoding: chunked")
    elif not any(name == "Content-Length" for name, _ in body.headers):
        lines.append(f"Content-Length: {len(body.content)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
