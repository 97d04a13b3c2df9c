"""People erased in a deployment of several processes, and in one of a single process: no trace is left anywhere."""

from pathlib import Path

from benchmarks import erasure
from tests.toyshop import make_shop


def test_of_people_who_were_erased_no_trace_is_left(cache: Path, tmp_path: Path) -> None:
    shop = make_shop(tmp_path, cache=cache)
    figures = erasure.run(shop.artifact, tmp_path, users=12, flags=["--cache-dir", str(cache)])
    assert all(found > 0 for found in figures.found_before.values()), figures  # the looks find what is there
    assert figures.users == 12 + 10 + 2 * len(shop.dataset.users)
    assert all(figures.erased[place] > 0 for place in ("profiles", "events", "exposures", "state", "names")), (
        figures.erased
    )
    assert figures.traces_database == figures.traces_redis == figures.traces_index == 0
    assert figures.traces_logs == figures.traces_files == 0
    assert (figures.left, figures.revived, figures.learnt) == (0, 0, 0)
