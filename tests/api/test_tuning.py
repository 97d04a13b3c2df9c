"""The flags that tune a backbone: each reaches the config of its kinds, and is refused by the others."""

import json
from pathlib import Path
from typing import get_args

import polars as pl
import pytest
from typer.testing import CliRunner

from api.cli import app
from api.cli.tuning import FLAGS, Kind, make_config
from coldstart.backbones import FrozenBackbone
from coldstart.backbones.config import ALSConfig, Config, LightGCNConfig, NeuMFConfig
from coldstart.errors import InvalidInput

GIVEN = {
    "dim": 8, "epochs": 2, "learning_rate": 0.01, "loss": "bpr", "layers": 4, "feedback": "explicit",
    "context": "hour, device", "alpha": 5.0, "regularisation": 0.5,
}  # fmt: skip
COMMON = ("dim", "epochs")
OWN: dict[Kind, tuple[str, ...]] = {
    "lightgcn": (*COMMON, "learning_rate", "loss", "layers"),
    "neumf": (*COMMON, "learning_rate", "feedback", "context"),
    "als": (*COMMON, "alpha", "regularisation"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten readers who rate their own kind of item high, in the morning and on a phone."""
    monkeypatch.chdir(tmp_path)
    rows = [(f"u{u}", f"i{i}", 5 if u % 2 == i % 2 else 1, 3600 * (8 + u % 2), "phone" if u % 2 else "desk")
            for u in range(10) for i in range(8) if (u + i) % 5]  # fmt: skip
    columns = ["user_id", "item_id", "rating", "timestamp", "device"]
    pl.DataFrame(rows, schema=columns, orient="row").write_csv(tmp_path / "interactions.csv")
    pl.DataFrame({"item_id": [f"i{i}" for i in range(8)], "title": ["t"] * 8}).write_csv(tmp_path / "items.csv")
    return tmp_path


def test_the_flags_are_those_of_this_test() -> None:
    assert list(FLAGS) == list(GIVEN) and set(OWN) == set(get_args(Kind))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("lightgcn", LightGCNConfig(d=8, epochs=2, learning_rate=0.01, loss="bpr", layers=4)),
        ("neumf", NeuMFConfig(d=8, epochs=2, learning_rate=0.01, feedback="explicit", context=("hour", "device"))),
        ("als", ALSConfig(d=8, iterations=2, alpha=5.0, regularisation=0.5)),
    ],
)
def test_a_kinds_flags_make_its_config(kind: Kind, wanted: Config) -> None:
    nothing: dict[str, object] = dict.fromkeys(GIVEN)
    assert make_config(kind, nothing) == type(wanted)()
    assert make_config(kind, {**nothing, **{name: GIVEN[name] for name in OWN[kind]}}) == wanted


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, own in OWN.items() for name in GIVEN if name not in own]
)
def test_a_flag_of_another_kind_is_refused_by_name(kind: Kind, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"kind {kind} has no such option") as caught:
        make_config(kind, {name: GIVEN[name]})
    assert caught.value.subject == f"--{name.replace('_', '-')}"
    told = [each for each in OWN if each in str(caught.value.remedy)]
    assert told == [each for each in OWN if name in OWN[each]]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_or_weight_that_is_not_positive_is_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match=r"--learning-rate: .* is not a positive number"):
        make_config("neumf", {"learning_rate": value})
    with pytest.raises(InvalidInput, match=r"--alpha: .* is not a positive number"):
        make_config("als", {"alpha": value})


@pytest.mark.parametrize("command", [["train", "backbone"], ["evaluate"]])
def test_a_command_tells_its_flags_and_refuses_a_foreign_one_before_the_work(command: list[str], folder: Path) -> None:
    text = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "300"}).output
    assert all(f"--{name.replace('_', '-')} " in text for name in FLAGS)
    kind = "--kind" if command[0] == "train" else "--backbone"
    result = CliRunner().invoke(app, [*command, str(folder), kind, "als", "--layers", "2"])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "coldstart: --layers: a backbone of kind als has no such option. Leave it out, or train lightgcn"
    ]


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (
            ["--dim", "4", "--layers", "0", "--loss", "sampled_softmax"],
            {"d": 4, "layers": 0, "loss": "sampled_softmax"},
        ),
        (
            ["--kind", "neumf", "--dim", "4", "--feedback", "explicit", "--context", "hour,device"],
            {"d": 4, "feedback": "explicit", "context": ["hour", "device"]},
        ),
        (["--kind", "als", "--dim", "3", "--alpha", "7", "--epochs", "1"], {"d": 3, "alpha": 7.0, "iterations": 1}),
    ],
)
def test_a_backbone_is_trained_as_the_flags_say(flags: list[str], wanted: dict[str, object], folder: Path) -> None:
    result = CliRunner().invoke(app, ["train", "backbone", str(folder), "--out", "made", "--json", *flags])
    assert result.exit_code == 0, result.output
    made = FrozenBackbone.load(folder / "made")
    assert json.loads(result.stdout)["dim"] == made.dim == wanted["d"]
    assert {name: made.config[name] for name in wanted} == wanted
