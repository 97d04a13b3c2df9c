"""Backbone, adapter and baselines of one split, seed by seed: what ``coldstart evaluate`` runs."""

import time
from collections.abc import Callable, Sequence

from adapters.baseline_tuning import ALWAYS, build
from adapters.baselines import Known, Vectors
from adapters.config import AdapterConfig
from adapters.content import MODALITIES, Contents
from adapters.placing import place
from adapters.results import Lists, Run
from adapters.studies import Stage, Study, TrainBackbone
from adapters.training import Epoch, train_adapter
from adapters.validation import split_validation
from coldstart.dataset import Dataset
from coldstart.evaluation import displacement
from coldstart.evaluation.protocols import LISTS, Part, Protocol
from coldstart.splits import Split

TRAIN_BACKBONE, TRAIN_ADAPTER = "training the backbone", "training the adapter"
"""Phases of a seed before its methods are judged."""


def run_seed(
    dataset: Dataset,
    split: Split,
    contents: Contents,
    *,
    train_backbone: TrainBackbone,
    seed: int,
    methods: Sequence[str] = ALWAYS,
    studies: Sequence[Study] = (),
    part: Part = "test",
    config: AdapterConfig | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_phase: Callable[[str], None] | None = None,
) -> Run:
    """Train backbone and adapter with one seed, tuned on the validation parts, and judge the test parts.

    Parameters
    ----------
    contents : Contents [dataset items]
        In the data set's row order.
    methods : sequence of str
        Of `adapters.baseline_tuning.METHODS`; those of `ALWAYS` are judged whether named or not.
    studies : sequence of Study
        What else is measured.
    part : str
        ``val`` judges the parts that everything was tuned on, for whoever develops a method.
    on_phase : callable, optional
        Told what comes next: `TRAIN_BACKBONE`, `TRAIN_ADAPTER`, then the name of each method and
        study as its turn comes.
    """
    tell, config = on_phase or (lambda _: None), config or AdapterConfig()
    started = time.perf_counter()
    tell(TRAIN_BACKBONE)
    backbone = train_backbone(split.train, split.warm_val if len(split.warm_val) else None, seed)
    trained_backbone = time.perf_counter()
    tell(TRAIN_ADAPTER)
    rows, users = dataset.items.ids.rows(backbone.items.ids), dataset.users.rows(backbone.users.ids)
    trained = train_adapter(
        backbone, contents.take(rows), config=config, seed=seed, on_epoch=on_epoch,
        validation=split_validation(dataset, split, backbone, contents),
    )  # fmt: skip
    trained_adapter = time.perf_counter()
    shape = len(dataset.users), len(dataset.items)
    protocol, validation = (Protocol.of(split, *shape, part=each) for each in (part, "val"))
    known = Known.of(backbone, users, rows, protocol.train, contents)
    vectors, gates = place(trained.adapter, contents, items=rows, users=users, protocol=protocol)
    judged, chosen = {}, {}
    for name in dict.fromkeys((*ALWAYS, *methods)):
        tell(name)
        if name == "adapter":
            judged[name] = _judge(protocol, vectors)
            continue
        method = build(name, known, validation, seed=seed)
        judged[name], chosen[name] = _judge(protocol, method.vectors), method.chosen
    # It has no vector for a cold item: any order of them would be of our making.
    judged["backbone"].pop("cold", None)
    moved = displacement.measure(protocol, vectors, (known.users, known.items))
    stage = Stage(
        dataset, split, contents, part, seed, config, trained.adapter, users, rows, protocol, validation, vectors,
        train_backbone,
    )  # fmt: skip
    measured = {}
    for study in studies:
        tell(study.name)
        measured[study.name] = study.measure(stage)
    done = time.perf_counter()
    return Run(
        judged=judged, chosen=chosen, measured=measured, displacement=moved, curve=trained.curve, gates=gates,
        modalities=MODALITIES,
        adapter_parameters=trained.adapter.trained_parameters, backbone_parameters=backbone.parameters,
        sha256_before=trained.sha256_before, sha256_after=trained.sha256_after,
        seconds={
            "backbone": trained_backbone - started,
            "adapter": trained_adapter - trained_backbone,
            "evaluate": done - trained_adapter,
        },
    )  # fmt: skip


def _judge(protocol: Protocol, vectors: Vectors) -> Lists:
    judged = {name: protocol.judge(name, *vectors) for name in LISTS}
    return {name: each for name, each in judged.items() if each is not None}
