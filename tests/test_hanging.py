"""An item that hangs the worker inside the service: a supervisor learns of it, and restarts bring it to its end."""

from pathlib import Path

from benchmarks import processes
from benchmarks.armed import POISON
from tests.toyshop import make_shop

LEASE_S, TRIES = 2, 2
IDS = ["before", "culprit", "after"]


def await_failed_liveness(service: processes.Service) -> None:
    client = service.client
    service.wait_until(lambda: not client.get("/health/live").is_success, seconds=30, what="a failed liveness")
    live = client.get("/health/live")
    assert live.status_code == 503 and live.headers["content-type"] == "application/problem+json"
    assert "hangs" in live.json()["detail"] and "Restart" in live.json()["remedy"]


def test_restarts_on_a_failed_liveness_dead_letter_what_hangs_and_harm_no_neighbour(
    cache: Path, tmp_path: Path
) -> None:
    shop = make_shop(tmp_path / "shop", cache=cache)
    arguments = [
        "--data-dir", str(tmp_path / "state"), "--adapter", str(shop.artifact), "--cache-dir", str(cache),
        "--lease-seconds", str(LEASE_S), "--max-attempts", str(TRIES), "--relay-seconds", "0.1",
    ]  # fmt: skip
    posts = [{"item_id": each, "title": "poison: hang" if each == "culprit" else each} for each in IDS]
    for start in range(TRIES):
        with processes.service(arguments, tmp_path / "service.log", {POISON: "1"}) as service:
            if start == 0:
                assert service.client.get("/health/live").json() == {"status": "alive"}
                service.client.post("/items/batch", json={"items": posts}).raise_for_status()
            await_failed_liveness(service)
            service.kill()
    with processes.service(arguments, tmp_path / "service.log", {POISON: "1"}) as service:
        service.wait_until(lambda: service.counts()["dead"] == 1, seconds=10, what="the dead letter")
        service.wait_until(lambda: service.counts()["retrievable"] == 18, seconds=10, what="the neighbours")
        dead = service.client.get("/items/culprit").json()
        assert (dead["status"], dead["attempts"]) == ("dead", TRIES)
        assert [service.client.get(f"/items/{each}").json()["status"] for each in IDS[::2]] == ["retrievable"] * 2
        assert service.client.get("/health/live").json() == {"status": "alive"}
