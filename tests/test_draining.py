"""A service that is told to end: not ready first, answering all the while, then gone in order."""

import signal
import time
from pathlib import Path

import httpx

from benchmarks import processes
from tests.toyshop import make_shop


def test_requests_are_answered_until_the_end_and_readiness_goes_first(cache: Path, tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", cache=cache)
    flags = [
        "--data-dir", str(tmp_path / "state"), "--adapter", str(shop.artifact), "--cache-dir", str(cache),
        "--drain-seconds", "3",
    ]  # fmt: skip
    service = processes.Service(flags, tmp_path / "service.log")
    try:
        service.send(signal.SIGTERM)
        service.wait_until(
            lambda: service.client.get("/health/ready").status_code == 503, seconds=2.5, what="the end of readiness"
        )
        answers = 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                answer = service.client.get("/users/tea-user-0/recommendations")
            except httpx.TransportError:  # gone, perhaps between two requests on one connection
                break
            assert answer.status_code == 200
            answers += 1
        assert answers > 0
        assert service.wait() == 0
    finally:
        service.kill()
