from collections.abc import Sequence

import pytest

from adapters.studies.graduation import Graduation, Growth
from tests.adapters.test_evaluation import run_world
from tests.adapters.toy import make_world


@pytest.fixture(scope="module")
def growths() -> Sequence[Growth]:
    """Every item of the toy world's test part has 20 clicks: 15 can be revealed, 30 cannot."""
    measured = run_world(make_world(cold=60), studies=(Graduation(),)).measured["graduation"]
    assert measured is not None
    return measured  # type: ignore[no-any-return]
