"""NeuMF: a generalised matrix factorisation and a perceptron, fused by one linear layer (He et al. 2017)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEVIATION = 0.1  # of the embeddings' normal first values


class NeuMF(nn.Module):
    """Logits ``w . (p * q) + h . mlp([p', q', context]) + b``: to order by for clicks, the values for ratings.

    Parameters
    ----------
    n_users, n_items : int
    d : int
        Width of p and q, the GMF tower's vectors.
    mlp_d : int
        Width of p' and q', the MLP tower's.
    hidden : sequence of int
        Widths of the MLP tower's layers, of which there is one at least.
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
        """Logits [b, n] of users [b] with n items each [b, n], in contexts of codes [b, categories] and numbers.

        What does not depend on the item is worked out once for all items of a row.
        """
        d, mlp_d = self.gmf_user.embedding_dim, self.mlp_user.embedding_dim
        first = cast(nn.Linear, self.mlp[0])
        p = self.gmf_user(users) * self.fusion.weight[:, :d]
        gmf = torch.bmm(self.gmf_item(items), p.unsqueeze(2)).squeeze(2)  # (b, n)
        context = torch.cat([*(table(codes[:, k]) for k, table in enumerate(self.context)), numbers], dim=1)
        of_user, of_item, of_context = torch.split(first.weight, [mlp_d, mlp_d, context.shape[1]], dim=1)
        own = F.linear(self.mlp_user(users), of_user, first.bias) + F.linear(context, of_context)  # (b, width)
        x = torch.relu(own.unsqueeze(1) + F.linear(self.mlp_item(items), of_item))  # (b, n, width)
        for layer in self.mlp[1:]:
            x = torch.relu(layer(x))
        return gmf + F.linear(x, self.fusion.weight[:, d:], self.fusion.bias).squeeze(2)
