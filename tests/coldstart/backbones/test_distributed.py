"""Two real processes on one machine, started by torchrun."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from coldstart.backbones import FrozenBackbone
from coldstart.backbones.distributed import Group, group, joined
from tests.coldstart.backbones.trained_together import CASES, trained

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
DEADLINE_S = 120.0


def torchrun(*command: str) -> str:
    return subprocess.run((*TORCHRUN, *command), check=True, capture_output=True, text=True, timeout=DEADLINE_S).stdout


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What two processes made of every case."""
    file = tmp_path_factory.mktemp("together") / "vectors.safetensors"
    torchrun("-m", "tests.coldstart.backbones.trained_together", str(file))
    return load_file(file)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_learn_what_one_does(name: str, together: dict[str, np.ndarray]) -> None:
    assert together["size"] == 2
    alone = trained(name)
    assert alone.config["training"]["best_epoch"] > 0  # else the start alone would be compared
    np.testing.assert_allclose(together[name], alone.item_vectors, rtol=1e-3, atol=1e-4)


def test_one_of_two_processes_writes_and_tells(tmp_path: Path) -> None:
    data = tmp_path / "shop"
    data.mkdir()
    rows = [(user, item) for user in range(30) for item in range(12) if (user + item) % 2 == 0]
    (data / "items.csv").write_text("item_id,title\n" + "".join(f"i{n},thing {n}\n" for n in range(12)))
    (data / "interactions.csv").write_text("user_id,item_id\n" + "".join(f"u{u},i{i}\n" for u, i in rows))
    out = tmp_path / "backbone"
    told = torchrun(
        "-m", "api.cli", "train", "backbone", str(data), "--out", str(out), "--dim", "4", "--epochs", "1",
        "--device", "cpu", "--json",
    )  # fmt: skip
    (line,) = told.splitlines()
    assert json.loads(line)["sha256"] == FrozenBackbone.load(out).sha256


def test_shares_are_all_of_a_batch_and_weigh_as_much() -> None:
    batch, values = np.arange(7), np.arange(7) ** 2.0
    shares = [Group(rank, 3).share(batch) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == list(batch)
    mean = np.mean([Group(rank, 3).weight(len(own), 7) * values[own].mean() for rank, own in enumerate(shares)])
    assert mean == pytest.approx(values.mean())


def test_without_torchrun_a_process_trains_alone() -> None:
    with joined("cpu") as alone:
        assert alone == group() == Group()
    assert alone.agree(lambda: 0.25, torch.device("cpu")) == 0.25
