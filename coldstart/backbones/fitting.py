"""The training loop that every gradient-trained backbone shares: it knows losses and scores, and no model."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor, nn

from coldstart.backbones.distributed import group
from coldstart.backbones.progress import open_console
from coldstart.errors import ColdstartError

_LARGEST = 1e12  # weights beyond it make sums of products that float32 cannot hold


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    learning_rate: float
    epochs: int  # at most
    patience: int  # epochs without a better score before training stops


def fit(
    module: nn.Module,
    epoch: Callable[[], Iterator[Tensor]],
    score: Callable[[], float] | None,
    schedule: Schedule,
    *,
    watch: Callable[[int], None] | None = None,
    label: str,
    steps: int,
    progress: bool = False,
) -> dict[str, Any]:
    """Train with Adam and leave the module at its best epoch, which may be its start.

    Processes that have joined a group (`coldstart.backbones.distributed`) train one model together.

    Parameters
    ----------
    module : nn.Module
        What is trained, in place.
    epoch : callable
        Yields the loss of each of an epoch's ``steps`` batches.
    score : callable, optional
        Validation score, larger is better; without it training runs for all epochs.
    watch : callable, optional
        Told the number of epochs that are done: 0 at the start, and after each.
    label : str
        Names the backbone in the progress bar and in errors.
    progress : bool
        Show the bar even where the error output is no terminal.

    Returns
    -------
    dict
        ``epochs`` run, the ``best_epoch`` (0 is the start) and the ``scores`` from the start on; for the record.

    Raises
    ------
    ColdstartError
        Where the loss is NaN or infinite, or after an epoch the weights are that or next to it.
    """
    processes, device = group(), next(module.parameters()).device
    processes.align(module)
    optimiser = torch.optim.Adam(module.parameters(), lr=schedule.learning_rate, fused=True)
    done = 0
    if watch:
        watch(done)
    scores = [processes.agree(score, device)] if score else []
    best = copy.deepcopy(module.state_dict()) if score else {}
    console = open_console(progress)
    with Progress(console=console, transient=True, disable=not (console.is_terminal and processes.leads)) as bar:
        task = bar.add_task(label, total=schedule.epochs * steps)
        while done < schedule.epochs and not _stale(scores, schedule.patience):
            for step, loss in enumerate(_forward(epoch(), device)):
                if not torch.isfinite(loss):
                    raise _diverged(label, f"the loss is {loss.item()} at epoch {done + 1}, step {step + 1}")
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                processes.average(module)
                optimiser.step()
                bar.advance(task)
            done += 1
            if not (largest := _largest(module)) < _LARGEST:
                what = f"the largest weight is {largest:g} after epoch {done}, step {step + 1}"
                raise _diverged(label, f"{what}, where the loss is {loss.item():g}")
            if watch:
                watch(done)
            if score:
                scores.append(processes.agree(score, device))
                bar.update(task, description=f"{label}: {scores[-1]:.4f}")
                if scores[-1] > max(scores[:-1]):
                    best = copy.deepcopy(module.state_dict())
    if score:
        module.load_state_dict(best)
    best_epoch = scores.index(max(scores)) if score else done
    return {"epochs": done, "best_epoch": best_epoch, "scores": scores}


def _forward(losses: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """The losses, worked out in half precision on a GPU; what is done with them is outside of it, as gradients must."""
    while True:
        with torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext():
            loss = next(losses, None)
        if loss is None:
            return
        yield loss


def _largest(module: nn.Module) -> float:
    """The largest absolute value of a parameter; NaN where one is NaN."""
    with torch.no_grad():
        return float(torch.stack([parameter.abs().max() for parameter in module.parameters()]).max())


def _diverged(label: str, what: str) -> ColdstartError:
    return ColdstartError(
        what,
        subject=label,
        remedy="Lower the learning rate, and check the ratings and context columns for extreme values",
    )


def _stale(scores: Sequence[float], patience: int) -> bool:
    return len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])
