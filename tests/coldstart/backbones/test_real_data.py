"""One look at real clicks: small enough for every run, large enough to notice a broken training."""

from pathlib import Path

import pytest

from coldstart.backbones.config import ALSConfig, LightGCNConfig
from coldstart.backbones.training import train_backbone
from coldstart.dataset import read_dataset
from coldstart.splits import read_split

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "citeulike-a"


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the data set is not at {FOLDER}")
def test_lightgcn_betters_its_als_start_on_citeulike() -> None:
    dataset = read_dataset(FOLDER)
    split = read_split(dataset, "aldi")
    config = LightGCNConfig(d=64, epochs=1, als=ALSConfig(alpha=100.0, regularisation=30.0))
    backbone = train_backbone("lightgcn", dataset.users, dataset.items.ids, split.train, split.warm_val, config=config)
    start, tuned = backbone.config["training"]["scores"]
    assert start > 0.19
    assert tuned > start + 0.004
    assert len(backbone.items) == 13_584
