import json

import numpy as np
import pytest

from coldstart.backbones.context import Category, Number, encode, encode_events, fit_context, from_json, to_json
from coldstart.dataset import Interactions
from coldstart.errors import InvalidInput

ROWS = np.zeros(4, dtype=np.int64)
EVENTS = Interactions(
    ROWS, ROWS,
    timestamp=np.array([0.0, 86_400.0 * 4 + 3600 * 23 + 59, -1.0, 1_700_000_000.0]),
    context={
        "place": np.array(["home", "", "work", "home"]),
        "price": np.array([1.0, 3.0, np.nan, 5.0], dtype=np.float32),
        "void": np.array(["", "", "", ""]),
    },
)  # fmt: skip


def test_categories_have_codes_and_numbers_are_standardised() -> None:
    context = fit_context(EVENTS, ["place", "price"])
    codes, numbers = encode_events(context, EVENTS)
    assert codes.tolist() == [[1], [0], [2], [1]]
    np.testing.assert_allclose(numbers[:, 0], [-np.sqrt(1.5), 0, 0, np.sqrt(1.5)], rtol=1e-6)


def test_what_training_has_not_seen_is_unknown() -> None:
    context = fit_context(EVENTS, ["place", "price"])
    codes, numbers = encode(context, {"place": np.array(["moon", "zoo", "work"])}, 3)
    assert codes.tolist() == [[0], [0], [2]] and numbers.tolist() == [[0.0]] * 3


def test_hour_and_weekday_come_from_the_timestamp() -> None:
    context = fit_context(EVENTS, ["hour", "weekday"])
    # Thursday 00 h, Monday 23 h, Wednesday 23 h (just before the epoch), Tuesday 14 November 2023, 22 h
    assert context == (Category("hour", ("0", "22", "23")), Category("weekday", ("0", "1", "2", "3")))
    assert encode_events(context, EVENTS)[0].tolist() == [[1, 4], [3, 1], [3, 3], [2, 2]]


def test_it_survives_json() -> None:
    context = fit_context(EVENTS, ["place", "price"])
    assert from_json(json.loads(json.dumps(to_json(context)))) == context
    assert isinstance(context[0], Category) and isinstance(context[1], Number)


@pytest.mark.parametrize(("name", "told"), [("plaze", "place, price, void"), ("void", "is empty")])
def test_a_column_that_cannot_be_used_is_named(name: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as caught:
        fit_context(EVENTS, [name])
    assert caught.value.subject == name


def test_hour_without_timestamps_is_refused() -> None:
    with pytest.raises(InvalidInput, match="need timestamps"):
        fit_context(Interactions(ROWS, ROWS), ["hour"])
