from typing import Any

import pytest

from coldstart.errors import InvalidInput
from tests.coldstart.experiments.toy import BEGIN, shown


def test_the_lag_is_how_old_the_events_were() -> None:
    assert shown("u", "ab", lag=7.5).lag_s == 7.5
    assert shown("u", "ab", watermark=BEGIN + 3).lag_s == 0.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cold": (True,)}, "1 marks of cold items for 2 items"),
        ({"propensities": (1.0,)}, "1 propensities for 2 items"),
        ({"teams": ("a", "b", "a")}, "3 teams for 2 items"),
        ({"propensities": (0.5, 0.0)}, "a propensity is not above 0"),
        ({"propensities": (0.5, 1.5)}, "a propensity is not above 0"),
    ],
)
def test_columns_that_do_not_fit_the_list_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        shown("u", "ab", **changes)
