"""A worker whose items kill it, against a service, PostgreSQL and Redis, each a process of its own."""

from pathlib import Path

from benchmarks import poison
from benchmarks.armed import POISONS
from tests import servers
from tests.toyshop import make_shop

TRIES = 2


def test_poison_is_dead_lettered_and_harms_no_neighbour(cache: Path, tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", cache=cache)
    with servers.postgresql() as database_url, servers.redis() as broker_url:
        flags = ["--database-url", database_url, "--broker-url", broker_url, "--cache-dir", str(cache)]
        flags += ["--max-attempts", str(TRIES)]
        figures = poison.run(shop.artifact, tmp_path, items=40, poisonous=len(POISONS), flags=flags)
    assert figures.dead_letters == len(POISONS)
    assert figures.most_tries <= TRIES
    assert figures.harmed == 0
    assert figures.worker_alive
