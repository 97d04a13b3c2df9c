"""Wake-ups: what they cost when the broker is away, and that nothing executable travels in them."""

import math
import socket
import time

import pytest

from coldstart.errors import InvalidInput
from tests import servers
from workers.app import ENCODE, MEMORY, make_app
from workers.tasks import drain, register, wake


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_wake_up_to_nobody_is_false_and_quick(scheme: str) -> None:
    app = make_app(f"{scheme}://127.0.0.1:{servers.free_port()}/0")
    begin = time.monotonic()
    assert wake(app, ENCODE) is False
    assert time.monotonic() - begin < 3.0


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_wake_up_to_a_broker_that_never_answers_is_false_in_seconds(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = make_app(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/0")
        begin = time.monotonic()
        assert wake(app, ENCODE) is False
        assert time.monotonic() - begin < 12.0


def test_a_drain_ends_with_its_time_though_more_is_due() -> None:
    now, steps = iter(range(100)), []
    assert not drain(lambda: steps.append(1) or 1, seconds=3.5, clock=lambda: float(next(now)))
    assert len(steps) == 4


def test_nothing_but_json_is_accepted() -> None:
    app = make_app(MEMORY)
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"


@pytest.mark.parametrize("url", [MEMORY, "redis://h/0", "amqp://h"])
def test_settings_keep_a_task_from_running_twice_and_from_being_lost(url: str) -> None:
    conf = make_app(url).conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_soft_time_limit < conf.task_time_limit
    assert conf.task_time_limit < conf.broker_transport_options.get("visibility_timeout", math.inf)


@pytest.mark.parametrize("url", ["rabbit://host", "sqs://", "localhost:6379", "", "memory"])
def test_a_broker_that_the_settings_are_not_made_for_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"broker_url: .* redis://"):
        make_app(url)


def test_applications_do_not_share_tasks() -> None:
    one, other = make_app(MEMORY), make_app(MEMORY)
    called: list[str] = []
    for app, name in ((one, "one"), (other, "other")):
        register(app, encode_due=lambda name=name: called.append(name) or 0, apply_due=lambda: 0)  # type: ignore[misc]
    other.tasks["coldstart.encode_due"]()
    assert called == ["other"]
