"""Several processes that train one model, as torchrun starts them: each learns from its share of every batch.

Every process draws the same batches and takes its own part of each; what they learn is averaged before a step. So the
steps are those of one process, up to rounding, however many take them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import distributed, nn


@dataclass(frozen=True)
class Group:
    """The processes that train together, and which of them this one is. Process 0 judges, writes and tells.

    Parameters
    ----------
    rank, size : int
        This process, counted from 0, of so many.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that judges, writes and tells."""
        return self.rank == 0

    def share(self, batch: NDArray[Any]) -> NDArray[Any]:
        """This process's part of a batch [b]; all of it where there is not a row for each.

        >>> import numpy as np
        >>> Group(rank=1, size=2).share(np.arange(5)).tolist(), Group(rank=1, size=2).share(np.arange(1)).tolist()
        ([1, 3], [0])
        """
        return batch[self.rank :: self.size] if len(batch) >= self.size else batch

    def weight(self, own: int, whole: int) -> float:
        """What a mean over ``own`` rows is multiplied by, so that its mean over processes is that of ``whole`` rows.

        >>> Group(rank=1, size=2).weight(2, 5), Group().weight(5, 5)
        (0.8, 1.0)
        """
        return 1.0 if own == whole else own * self.size / whole

    def align(self, module: nn.Module) -> None:
        """Give every process the parameters of process 0."""
        if self.size > 1:
            for parameter in module.parameters():
                distributed.broadcast(parameter.data, src=0)

    def average(self, module: nn.Module) -> None:
        """Replace the gradients by their mean over the processes."""
        if self.size > 1:
            for gradient in [p.grad for p in module.parameters() if p.grad is not None]:
                distributed.all_reduce(gradient)
                gradient /= self.size

    def agree(self, score: Callable[[], float], device: torch.device) -> float:
        """What process 0 makes of it; the others wait."""
        value = torch.tensor(score() if self.leads else 0.0, dtype=torch.float64, device=device)
        if self.size > 1:
            distributed.broadcast(value, src=0)
        return value.item()


def group() -> Group:
    """The group that this process has joined, or one of this process alone."""
    if distributed.is_available() and distributed.is_initialized():
        return Group(distributed.get_rank(), distributed.get_world_size())
    return Group()


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """The group that torchrun started this process in, for as long as it trains; without torchrun, a group of one.

    On GPUs each process of a machine takes one of its own.
    """
    if not distributed.is_torchelastic_launched():
        yield Group()
        return
    on_gpus = torch.device(device).type == "cuda"
    if on_gpus:
        torch.cuda.set_device(distributed.get_node_local_rank())
    distributed.init_process_group("nccl" if on_gpus else "gloo")
    try:
        yield group()
    finally:
        distributed.destroy_process_group()
