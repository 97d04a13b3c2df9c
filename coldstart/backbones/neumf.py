"""NeuMF: a generalised matrix factorisation and a perceptron, fused by one linear layer (He et al. 2017)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

DEVIATION = 0.1  # of the embeddings' normal first values


class NeuMF(nn.Module):
    """Logits ``w . (p * q) + h . mlp([p', q', context]) + b``: their sigmoid for clicks, the values for ratings.

    Parameters
    ----------
    n_users, n_items : int
    d : int
        Width of p and q, the GMF tower's vectors.
    mlp_d : int
        Width of p' and q', the MLP tower's.
    hidden : sequence of int
        Widths of the MLP tower's layers.
    categories : sequence of int
        How many values each category of the context has; embedding 0 stands for an unknown one.
    context_d : int
        Width of a category's embedding.
    numbers : int
        How many numbers the context has.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        d: int,
        mlp_d: int,
        hidden: Sequence[int],
        categories: Sequence[int] = (),
        context_d: int = 8,
        numbers: int = 0,
    ) -> None:
        super().__init__()
        self.gmf_user, self.gmf_item = nn.Embedding(n_users, d), nn.Embedding(n_items, d)
        self.mlp_user, self.mlp_item = nn.Embedding(n_users, mlp_d), nn.Embedding(n_items, mlp_d)
        self.context = nn.ModuleList(nn.Embedding(count + 1, context_d) for count in categories)
        widths = [2 * mlp_d + len(categories) * context_d + numbers, *hidden]
        self.mlp = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.fusion = nn.Linear(d + widths[-1], 1)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=DEVIATION)

    def forward(self, users: Tensor, items: Tensor, codes: Tensor, numbers: Tensor) -> Tensor:
        """Logits [b] of user and item rows [b], in contexts of codes [b, categories] and numbers [b, numbers]."""
        gmf = self.gmf_user(users) * self.gmf_item(items)  # (b, d)
        embedded = [table(codes[:, k]) for k, table in enumerate(self.context)]
        x = torch.cat([self.mlp_user(users), self.mlp_item(items), *embedded, numbers], dim=1)
        for layer in self.mlp:
            x = torch.relu(layer(x))  # (b, width)
        logits: Tensor = self.fusion(torch.cat([gmf, x], dim=1))  # (b, 1)
        return logits.squeeze(1)
