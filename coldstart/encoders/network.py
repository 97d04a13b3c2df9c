"""TCP connections that reach the open internet only.

A name is resolved once, every address it has must be public, and the connection goes to the address that was checked,
so that a name which changes its answer between check and use gains nothing. TLS and the Host header keep the name.
"""

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpcore

from coldstart.errors import InvalidInput

Resolver = Callable[[str, int], Sequence[str]]
"""Host and port -> its IP addresses."""
Connector = Callable[[str, int, float], httpcore.NetworkStream]
"""IP address, port and timeout in seconds -> an open stream."""

NAT64 = IPv6Network("64:ff9b::/96")
# Of IANA's special registries, what Python 3.11 takes for public: relays of 6to4, documentation, segment routing.
UNLISTED = (IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"), IPv6Network("5f00::/16"))


def resolve(host: str, port: int) -> Sequence[str]:
    """Every address that the system's resolver knows for the host."""
    return list(dict.fromkeys(str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def connect(address: str, port: int, timeout_s: float) -> httpcore.NetworkStream:
    """A TCP connection, without proxies."""
    return httpcore.SyncBackend().connect_tcp(address, port, timeout=timeout_s)


def is_public(address: str) -> bool:
    """Whether an IP address is on the open internet, also once unwrapped from the IPv6 forms that carry an IPv4 one.

    >>> [is_public(address) for address in ("93.184.216.34", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::")]
    [True, False, False, False]
    """
    ip: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else ip)
    if any(ip in network for network in UNLISTED):
        return False
    # is_global alone lets multicast, site-local and the reserved ::/8 (there ::127.0.0.1) through; Teredo it refuses.
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or getattr(ip, "is_site_local", False))


class CheckedBackend(httpcore.NetworkBackend):
    """Resolves once, checks every address, connects to one of those."""

    def __init__(self, resolver: Resolver, connector: Connector, deadline: float) -> None:
        self._resolver, self._connector, self._deadline = resolver, connector, deadline

    def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore.NetworkStream:
        addresses = self._resolver(host, port)
        if hidden := [address for address in addresses if not is_public(address)]:
            raise InvalidInput(f"the host has an address that is not public: {hidden[0]}", subject=host)
        failure: Exception = OSError("the host has no address")
        for address in addresses:
            try:
                return _Stream(self._connector(address, port, _left(self._deadline)), self._deadline)
            except httpcore.ConnectError as error:
                failure = error
        raise failure


class _Stream(httpcore.NetworkStream):
    """A stream all of whose waits end at one deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname=server_hostname, timeout=_left(self._deadline))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left
