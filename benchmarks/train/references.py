"""Published code that is trained for comparison: torch-geometric's LightGCN and Cornac's NeuMF."""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.train.course import Course, until_enough
from benchmarks.train.tasks import LeaveOneOut, Ranking
from coldstart.backbones.lightgcn import normalised_adjacency
from coldstart.backbones.sampling import Sampler
from coldstart.vectors import Rows, Vector

D, LAYERS, BATCH, LEARNING_RATE, DECAY = 64, 3, 2048, 1e-3, 1e-4
"""LightGCN's, as its authors publish them."""
LOOKS = 12  # at Cornac's model, whose epochs take longer than all of the course


def geometric_lightgcn(task: Ranking, course: Course, *, seed: int = 0) -> None:
    """torch-geometric's LightGCN with BPR, its adjacency normalised once and multiplied as a torch CSR tensor."""
    with warnings.catch_warnings():  # its import compiles with torch.jit, which torch has deprecated; CSR is a beta
        warnings.simplefilter("ignore")
        from torch_geometric.nn.models import LightGCN

        adjacency = normalised_adjacency(task.train)
        starts, columns, values = map(torch.from_numpy, (adjacency.indptr, adjacency.indices, adjacency.data))
        edges = torch.sparse_csr_tensor(starts, columns, values, size=adjacency.shape, check_invariants=True)
    n_users, n_items = task.train.shape
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    model = LightGCN(n_users + n_items, D, LAYERS, normalize=False)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    sampler = Sampler(task.train)
    clicked = np.repeat(np.arange(n_users), np.diff(task.train.indptr)), task.train.indices.astype(np.int64)

    def recall() -> float:
        with torch.no_grad():
            users, items = model.get_embedding(edges).numpy()[:n_users], model.get_embedding(edges).numpy()[n_users:]
        return task.recall(users, items)

    course.restart()
    with until_enough():
        while True:
            order = generator.permutation(task.train.nnz)
            for start in range(0, len(order), BATCH):
                users, items = (rows[order[start : start + BATCH]] for rows in clicked)
                others = sampler.draw(users, generator)
                nodes = [torch.from_numpy(rows) for rows in (users, n_users + items, n_users + others)]
                vectors: Tensor = model.get_embedding(edges)
                own, first, second = (vectors[rows] for rows in nodes)
                loss = model.recommendation_loss(
                    (own * first).sum(-1), (own * second).sum(-1), torch.cat(nodes), lambda_reg=DECAY
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if course.seconds >= course.budget:
                    break
            course.judge(recall)


def cornac_neumf(task: LeaveOneOut, course: Course, *, seed: int = 0) -> None:
    """Cornac's NeuMF on torch at the paper's settings: 64 factors, 4 negatives, batches of 256, Adam at .001."""
    from cornac.data import Dataset
    from cornac.models import NeuMF

    class Watched(Dataset):  # type: ignore[misc]
        """Looks at the model now and then while it draws its batches."""

        due = 0.0

        def uir_iter(self, *arguments: Any, **options: Any) -> Any:
            for batch in super().uir_iter(*arguments, **options):
                if course.seconds >= self.due:
                    self.due += course.budget / LOOKS
                    course.judge(lambda: task.hit_rate(score))
                yield batch

    clicks = Watched.from_uir(
        list(zip(task.train.user_rows.tolist(), task.train.item_rows.tolist(), np.ones(len(task.train)), strict=True)),
        seed=seed,
    )
    user_places, item_places = (
        np.array([ids.get(row, 0) for row in range(count)])
        for ids, count in zip((clicks.uid_map, clicks.iid_map), task.shape, strict=True)
    )
    model = NeuMF(
        num_factors=D, layers=(4 * D, 2 * D, D), num_epochs=1000, batch_size=256, num_neg=4, lr=LEARNING_RATE,
        backend="pytorch", verbose=False, seed=seed,
    )  # fmt: skip

    def score(users: Rows, items: Rows) -> Vector:
        pairs = (torch.from_numpy(places[rows]) for places, rows in ((user_places, users), (item_places, items)))
        with torch.no_grad():
            return np.asarray(model.model(*pairs).numpy())

    course.restart()
    with until_enough():
        model.fit(clicks)
