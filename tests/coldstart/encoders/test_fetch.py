"""Fetching pictures: only allowed hosts, only public addresses, only so many bytes, only so long.

Every server here listens on loopback; the connector stands in for the internet and notes where it was sent.
"""

import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpcore
import pytest

from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.network import is_public
from coldstart.errors import ColdstartError, InvalidInput, Unavailable

PUBLIC = "93.184.216.34"
Respond = Callable[[bytes, socket.socket], None]


class Internet:
    """One server behind every address; notes the addresses that connections were asked for and the requests seen."""

    def __init__(self) -> None:
        self.dialled: list[str] = []
        self.requests: list[bytes] = []
        self.asked: list[str] = []
        self.names: dict[str, list[list[str]]] = {}
        self.respond: Respond = lambda request, peer: peer.sendall(ok(b"picture"))
        self.closing = threading.Event()
        internet = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                request = self.request.recv(65536)
                internet.requests.append(request)
                try:
                    internet.respond(request, self.request)
                except OSError:  # the client has hung up, which many of these tests are about
                    pass

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def resolve(self, host: str, port: int) -> Sequence[str]:
        """The scripted answers in turn, the last one for good; a number is parsed as the system would, offline."""
        self.asked.append(host)
        if answers := self.names.get(host.rstrip(".")):
            return answers.pop(0) if len(answers) > 1 else answers[0]
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [str(row[4][0]) for row in rows]

    def connect(self, address: str, port: int, timeout_s: float) -> httpcore.NetworkStream:
        self.dialled.append(address)
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self.server.server_address[1], timeout=timeout_s)

    def fetcher(self, *hosts: str, max_bytes: int = 1_000_000, timeout_s: float = 20.0) -> Fetcher:
        return Fetcher(
            hosts or ("*",), resolver=self.resolve, connector=self.connect, max_bytes=max_bytes, timeout_s=timeout_s
        )


@pytest.fixture
def internet() -> Iterator[Internet]:
    made = Internet()
    made.names["pictures.example"] = [[PUBLIC]]
    yield made
    made.close()


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n".encode()


def test_off_by_default_and_says_which_setting_turns_it_on() -> None:
    with pytest.raises(InvalidInput, match="COLDSTART_IMAGE_HOSTS"):
        Fetcher().fetch("http://pictures.example/a.jpg")


def test_an_allowed_host_is_asked_under_its_own_name_at_the_checked_address(internet: Internet) -> None:
    assert internet.fetcher("Pictures.example").fetch("http://pictures.EXAMPLE/a%20b.jpg?size=2#part") == b"picture"
    assert internet.dialled == [PUBLIC]
    head = internet.requests[0].decode().lower()
    assert head.startswith("get /a%20b.jpg?size=2 http/1.1\r\n")
    assert "host: pictures.example\r\n" in head
    assert "cookie" not in head
    assert "authorization" not in head


def test_proxies_of_the_environment_are_not_used(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert internet.fetcher().fetch("http://pictures.example/a.jpg") == b"picture"
    assert internet.dialled == [PUBLIC]


def test_a_host_that_is_not_named_is_refused(internet: Internet) -> None:
    for url in ("http://other.example/", "http://pictures.example.evil.example/", "http://evilpictures.example/"):
        with pytest.raises(InvalidInput, match="is not allowed"):
            internet.fetcher("pictures.example").fetch(url)
    assert internet.asked == []


HOSTILE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://127.0.0.1./",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/latest/meta-data/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://198.18.0.1/",
    "http://192.88.99.1/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:7f00:1:8000:63bf:80ff:fffe]/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[5f00::1]/",
    "http://loopback.example/",
    "http://metadata.example/",
    "http://mixed.example/",
    "http://user@pictures.example/",
    "http://user:secret@pictures.example/",
    "http://pictures.example@127.0.0.1/",
    "http://pictures.example\\@127.0.0.1/",
    "http://pictures.example:22/",
    "http://pictures.example:8000/",
    "http://pictures.example:6333/",
    "http://pictures.example:99999/",
    "https://pictures.example:0/",
    "ftp://pictures.example/a.jpg",
    "file:///etc/passwd",
    "gopher://pictures.example/_x",
    "//pictures.example/a.jpg",
    "pictures.example/a.jpg",
    "http://",
    "http:///a.jpg",
    "http://\u2460\u2461\u2466.0.0.1/",
    "http://１２７.0.0.1/",
    "http://pictures.example/\r\nHost: evil",
    "http://pictures.exa\x00mple/",
    "http://[::1/",
    "http://" + "a" * 70 + ".example/",
    "",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_no_hostile_address_is_ever_connected_to(internet: Internet, url: str) -> None:
    internet.names |= {
        "loopback.example": [["127.0.0.1"]],
        "metadata.example": [["169.254.169.254"]],
        "mixed.example": [[PUBLIC, "127.0.0.1"]],
    }
    with pytest.raises((InvalidInput, Unavailable)):
        internet.fetcher().fetch(url)
    assert internet.dialled == []


@pytest.mark.parametrize("url", [url for url in HOSTILE if url.startswith("http://")])
def test_a_redirect_is_checked_like_an_address(internet: Internet, url: str) -> None:
    internet.names |= {
        "loopback.example": [["127.0.0.1"]],
        "metadata.example": [["169.254.169.254"]],
        "mixed.example": [[PUBLIC, "127.0.0.1"]],
    }
    plain = url.encode("ascii", "replace").decode().replace("\r\n", "").replace("\x00", "")
    internet.respond = lambda request, peer: peer.sendall(redirect(plain))
    with pytest.raises(ColdstartError):
        internet.fetcher().fetch("http://pictures.example/")
    assert set(internet.dialled) == {PUBLIC}


def test_a_name_that_changes_its_answer_gains_nothing(internet: Internet) -> None:
    internet.names["flip.example"] = [[PUBLIC], ["127.0.0.1"]]
    assert internet.fetcher().fetch("http://flip.example/") == b"picture"
    assert internet.asked == ["flip.example"]  # not resolved again between check and connection
    with pytest.raises(InvalidInput, match="not public"):
        internet.fetcher().fetch("http://flip.example/")
    assert internet.dialled == [PUBLIC]


def test_redirects_are_followed_three_times(internet: Internet) -> None:
    hops = {b"/0": "/1", b"/1": "http://pictures.example/2", b"/2": "3", b"/3": "/4"}

    def respond(request: bytes, peer: socket.socket) -> None:
        path = request.split(b" ")[1]
        peer.sendall(redirect(hops[path]) if path in hops else ok(path))

    internet.respond = respond
    assert internet.fetcher().fetch("http://pictures.example/1") == b"/4"
    with pytest.raises(InvalidInput, match="more than 3 redirects"):
        internet.fetcher().fetch("http://pictures.example/0")


@pytest.mark.parametrize("header", [b"", b"Content-Length: 10000000000\r\n"])
def test_an_endless_body_is_cut(internet: Internet, header: bytes) -> None:
    sent = 0

    def respond(request: bytes, peer: socket.socket) -> None:
        nonlocal sent
        peer.sendall(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n")
        while not internet.closing.is_set():
            sent += peer.send(b"x" * 65536)

    internet.respond = respond
    with pytest.raises(InvalidInput, match="over 200000 bytes"):
        internet.fetcher(max_bytes=200_000).fetch("http://pictures.example/")
    assert sent < 50_000_000  # what fits into socket buffers, not the body


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_trickling_server_is_left_at_the_deadline(internet: Internet, start: bytes) -> None:
    def respond(request: bytes, peer: socket.socket) -> None:
        peer.sendall(start)
        while not internet.closing.wait(0.02):
            peer.sendall(b"a")

    internet.respond = respond
    started = time.monotonic()
    with pytest.raises(Unavailable, match="no complete answer"):
        internet.fetcher(timeout_s=0.3).fetch("http://pictures.example/")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", InvalidInput),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", InvalidInput),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Unavailable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Unavailable),
        (b"SSH-2.0-OpenSSH\r\n", Unavailable),
        (b"", Unavailable),
    ],
)
def test_a_failure_says_whether_trying_again_can_help(
    internet: Internet, answer: bytes, kind: type[ColdstartError]
) -> None:
    internet.respond = lambda request, peer: peer.sendall(answer)
    with pytest.raises(kind, match=r"pictures\.example"):
        internet.fetcher().fetch("http://pictures.example/a.jpg")


def test_an_unreachable_address_gives_way_to_the_next(internet: Internet) -> None:
    internet.names["pictures.example"] = [["2606:4700::1111", PUBLIC]]

    def connect(address: str, port: int, timeout_s: float) -> httpcore.NetworkStream:
        if ":" in address:
            raise httpcore.ConnectError("network is unreachable")
        return internet.connect(address, port, timeout_s)

    fetcher = Fetcher(["pictures.example"], resolver=internet.resolve, connector=connect)
    assert fetcher.fetch("http://pictures.example/") == b"picture"


def test_tls_is_asked_for_under_the_hosts_name(internet: Internet) -> None:
    internet.respond = lambda request, peer: None
    with pytest.raises(Unavailable):
        internet.fetcher().fetch("https://pictures.example/a.jpg")
    assert internet.dialled == [PUBLIC]
    assert b"pictures.example" in internet.requests[0]  # the server name of the ClientHello
    assert b"GET" not in internet.requests[0]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed")
def test_a_certificate_that_nobody_vouches_for_is_refused(internet: Internet, tmp_path: Path) -> None:
    subject = ["-subj", "/CN=pictures.example", "-addext", "subjectAltName=DNS:pictures.example"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                with context.wrap_socket(self.request, server_side=True) as secured:
                    internet.requests.append(secured.recv(65536))
                    secured.sendall(ok(b"forged"))
            except (ssl.SSLError, OSError):
                pass

    internet.server.RequestHandlerClass = Handler
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        internet.fetcher().fetch("https://pictures.example/a.jpg")
    assert b"GET" not in b"".join(internet.requests)


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)
