"""An adapter's vectors in the rows of a data set."""

import numpy as np

from adapters.baselines import Vectors, scatter
from adapters.content import Contents
from adapters.space import Adapter, Blocks
from coldstart.evaluation.protocols import Protocol
from coldstart.vectors import Matrix, Rows


def place(
    adapter: Adapter, contents: Contents, *, items: Rows, users: Rows, protocol: Protocol
) -> tuple[Vectors, Matrix]:
    """User and item vectors in the data set's rows, and the gates of the cold candidates with content.

    Parameters
    ----------
    contents : Contents [data set's items]
    items, users : int64 [backbone items], [backbone users]
        The backbone's rows in the data set; -1 for a user who is not in it.
    """
    cold = np.flatnonzero(protocol.cold)
    vectors, blocks = place_items(adapter, contents, items=items, cold=cold)
    queries = adapter.user_vectors(np.arange(len(adapter.backbone.users)))
    has = contents.present[cold].any(axis=1)
    return (scatter(queries, users, protocol.train.shape[0]), vectors), blocks.gate[has]


def place_items(adapter: Adapter, contents: Contents, *, items: Rows, cold: Rows) -> tuple[Matrix, Blocks]:
    """Served vectors of all items [data set's items, D], zeros for those in neither; and the blocks of the cold ones.

    Parameters
    ----------
    items, cold : int64 [backbone items], [any]
        Rows in the data set: of the backbone's items, and of those that are placed by their content alone.
    """
    own = np.arange(len(items))
    vectors = np.zeros((len(contents), adapter.dim), np.float32)
    vectors[items] = adapter.warm_vectors(own, adapter.blocks(contents.take(items), own))
    blocks = adapter.blocks(contents.take(cold))
    vectors[cold] = adapter.cold_vectors(blocks)
    return vectors, blocks
