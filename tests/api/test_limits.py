"""Permits: so much at once, so much waiting, and a clear refusal beyond."""

import threading

import anyio
import pytest

from api.limits import Permits
from coldstart.errors import Unavailable


def test_work_beyond_the_waiting_room_is_refused_at_once() -> None:
    gate, done = threading.Event(), []

    async def scenario() -> None:
        permits = Permits(1, waiting=1)

        async def work() -> None:
            done.append(await permits.run(gate.wait, 20))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(work)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Unavailable, match="too many"):
                await permits.run(gate.wait, 20)
            gate.set()

    anyio.run(scenario)
    assert done == [True, True]


def test_errors_of_the_work_come_through() -> None:
    async def scenario() -> None:
        await Permits(1, waiting=1).run(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        anyio.run(scenario)
