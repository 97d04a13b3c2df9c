"""How every torch encoder runs: on the GPU in half precision where there is one, else on a fixed number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def device() -> torch.device:
    """The GPU, where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def inference(where: torch.device, threads: int) -> Iterator[None]:
    """No gradients, autocast on the GPU, and torch's process-wide number of threads set and put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode(), torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
            yield
    finally:
        torch.set_num_threads(before)
