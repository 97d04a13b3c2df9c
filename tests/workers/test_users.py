"""Which state a deployment gets."""

from contextlib import ExitStack

import pytest

from coldstart.settings import Settings
from coldstart.users.memory import MemoryState
from coldstart.users.shared import RedisState
from coldstart.users.state import LogState
from workers.users import open_state


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, MemoryState),
        ({"qdrant_url": "http://host:6333"}, LogState),
        ({"database_url": "postgresql://host/name"}, LogState),
        ({"redis_url": "redis://host"}, RedisState),
        ({"database_url": "postgresql://host/name", "redis_url": "redis://host"}, RedisState),
        ({"broker_url": "redis://host"}, MemoryState),
    ],
)
def test_the_settings_choose(settings: dict[str, str], expected: type) -> None:
    with ExitStack() as stack:
        assert isinstance(open_state(stack, Settings(**settings), lambda _: []), expected)
