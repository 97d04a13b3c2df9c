"""What training commands take from a data set."""

import numpy as np
import polars as pl
import pytest

from api.cli.offline import remark, tuning_clicks
from coldstart.dataset import make_dataset
from coldstart.splits import Split


def test_an_adapter_is_never_tuned_on_the_test_part() -> None:
    """Also where the split holds out no cold item for validation, so that warm ones are hidden instead."""
    pairs = [("u", "trained"), ("u", "validated"), ("u", "tested"), ("u", "new")]
    dataset = make_dataset(
        pl.DataFrame({"item_id": [item for _, item in pairs], "title": ["t"] * 4}),
        pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row"),
    )
    train, warm_val, warm_test, cold_test = (
        dataset.interactions.take(dataset.interactions.item_rows == n) for n in range(4)
    )
    split = Split(
        "mine",
        train,
        warm_val,
        warm_test,
        cold_val=dataset.interactions.take(np.empty(0, np.int64)),
        cold_test=cold_test,
    )
    assert tuning_clicks(dataset, split).toarray().tolist() == [[0, 1, 0, 0]]
    assert tuning_clicks(dataset, None).toarray().tolist() == [[1, 1, 1, 1]]


def test_an_id_in_a_remark_is_text_whatever_it_looks_like(capsys: pytest.CaptureFixture[str]) -> None:
    remark("[red]sku[/b] :lamp: " + "x" * 200)
    assert capsys.readouterr().err == "[red]sku[/b] :lamp: " + "x" * 200 + "\n"
