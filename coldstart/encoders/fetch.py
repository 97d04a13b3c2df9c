"""The only outbound HTTP: pictures named by address, from hosts that the operator allowed."""

import ssl
import time
from collections.abc import Iterable
from functools import cached_property

import httpcore
import httpx

from coldstart.encoders.network import CheckedBackend, Connector, Resolver, connect, resolve
from coldstart.errors import InvalidInput, Unavailable

MAX_REDIRECTS = 3
PORTS = {None, 80, 443}  # None is the scheme's own
REDIRECTS = {301, 302, 303, 307, 308}
HEADERS = (("User-Agent", "coldstart"), ("Accept", "image/*"), ("Accept-Encoding", "identity"))


class Fetcher:
    """Fetches pictures over HTTP(S); with no allowed hosts, the default, it refuses every address.

    Parameters
    ----------
    allowed_hosts : iterable of str
        Exact host names; ``*`` allows every host with public addresses.
    resolver, connector
        How names become addresses, and addresses connections.
    max_bytes : int
        Where a body is cut off, as an error.
    timeout_s : float
        For the whole fetch with its redirects, so that a server which trickles gains nothing (name resolution is
        bound by the system's own limit).
    """

    def __init__(
        self,
        allowed_hosts: Iterable[str] = (),
        *,
        resolver: Resolver = resolve,
        connector: Connector = connect,
        max_bytes: int = 10_000_000,
        timeout_s: float = 10.0,
    ) -> None:
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._resolver, self._connector = resolver, connector
        self._max_bytes, self._timeout_s = max_bytes, timeout_s

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context(trust_env=False)

    def fetch(self, url: str) -> bytes:
        """The body behind the address.

        Raises
        ------
        InvalidInput
            Where the address, a redirect, an IP address or the answer is not acceptable.
        Unavailable
            Where the host did not answer in time or failed: a later try may succeed.
        """
        if not self._allowed_hosts:
            raise InvalidInput(
                "picture addresses are not fetched here",
                subject=url[:200],
                remedy="Name the hosts to fetch from in COLDSTART_IMAGE_HOSTS, or send the picture itself",
            )
        deadline = time.monotonic() + self._timeout_s
        try:
            target: str | httpx.URL = url
            for _ in range(MAX_REDIRECTS + 1):
                checked = self._check(target)
                answer = self._get(checked, deadline)
                if isinstance(answer, bytes):
                    return answer
                target = checked.join(answer)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise InvalidInput(f"the address is malformed: {error}", subject=url[:200]) from None
        except httpcore.TimeoutException:
            raise Unavailable(f"no complete answer within {self._timeout_s:g} s", subject=url[:200]) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise Unavailable(f"the host could not be read: {error}", subject=url[:200]) from None
        raise InvalidInput(f"more than {MAX_REDIRECTS} redirects", subject=url[:200])

    def _check(self, target: str | httpx.URL) -> httpx.URL:
        url = httpx.URL(target)
        host = url.raw_host.decode("ascii").rstrip(".")
        if url.scheme not in ("http", "https") or not host:
            what, remedy = "the address is not http or https", "Give an http(s) address"
        elif url.userinfo:
            what, remedy = "the address carries credentials", "Give an address that needs none"
        elif url.port not in PORTS:
            what, remedy = f"port {url.port} is not fetched from", "Serve pictures on port 80 or 443"
        elif not self._allowed_hosts & {"*", host, url.host}:
            what, remedy = f"the host {host!r} is not allowed", "Add it to COLDSTART_IMAGE_HOSTS"
        else:
            return url
        raise InvalidInput(what, subject=str(url)[:200], remedy=remedy)

    def _get(self, url: httpx.URL, deadline: float) -> bytes | str:
        """The body, or the place that a redirect names."""
        backend = CheckedBackend(self._resolver, self._connector, deadline)
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        with (
            httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
            pool.stream("GET", target, headers=HEADERS) as response,
        ):
            location = {name.lower(): value for name, value in response.headers}.get(b"location")
            if response.status in REDIRECTS and location:
                return location.decode("latin-1")
            if response.status != 200:
                kind = Unavailable if response.status == 429 or response.status >= 500 else InvalidInput
                raise kind(f"the host answered {response.status}", subject=str(url)[:200])
            body = bytearray()
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > self._max_bytes:
                    raise InvalidInput(f"the body is over {self._max_bytes} bytes", subject=str(url)[:200])
            return bytes(body)
