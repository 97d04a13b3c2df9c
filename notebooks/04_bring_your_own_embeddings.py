# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Bring your own embeddings
#
# You have a recommender, it works, and nobody wants to train another. Then its vectors are the backbone. All that is
# needed: a vector for each user and item, whose inner product is the score; *your* ids for them; and the clicks it was
# trained on.

# %%
from pathlib import Path

from coldstart.sample import open_sample
from coldstart.splits import read_split

FOLDER = Path("notebook-data")
SHOP = {"products": 600, "shoppers": 400, "clicks": 16_000}

dataset = open_sample(FOLDER / "shop", **SHOP)
split = read_split(dataset, "arrivals")

# %% [markdown]
# ## Your recommender
#
# Let it be a BPR model of the library `implicit`, trained somewhere else. It knows rows and columns of a matrix, and
# beside it somebody keeps which id is which row.

# %%
import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking

clicks = split.train.matrix(len(dataset.users), len(dataset.items))
user_ids, item_ids = dataset.users.ids, dataset.items.ids.ids

model = BayesianPersonalizedRanking(factors=63, iterations=200, learning_rate=0.05, num_threads=1, random_state=0)
model.fit(clicks, show_progress=False)

# %% [markdown]
# ## From the object
#
# Where model and ids are in memory, one call freezes them. Products without a click are left out: the model has learned
# nothing about them, and an adapter will place them.

# %%
from coldstart.backbones.objects import from_implicit

backbone = from_implicit(model, user_ids, item_ids, clicks)
print(f"{len(backbone.users)} users, {len(backbone.items)} of {len(item_ids)} items, {backbone.dim} numbers a vector")

# %% [markdown]
# Are these the model's own scores? Ask both for one shopper.

# %%
row = backbone.users.row("s0042")
columns, theirs = model.recommend(row, clicks[row], N=10)
ours = backbone.item_vectors[backbone.items.rows([item_ids[n] for n in columns])] @ backbone.user_vectors[row]
difference = float(np.abs(ours - theirs).max())
print(f"largest difference among the first ten: {difference:.1e}")

# %% [markdown]
# ### LightFM
#
# LightFM adds a bias to each side. `from_lightfm` turns them into two more numbers of each vector, so that the inner
# product is LightFM's score again. `Dataset.mapping()` already has the ids. (This cell runs where LightFM is
# installed.)

# %%
from importlib.util import find_spec

from coldstart.backbones.objects import from_lightfm

if find_spec("lightfm"):
    from lightfm import LightFM

    fm = LightFM(no_components=32, loss="warp", random_state=0).fit(clicks, epochs=10)
    by_fm = from_lightfm(fm, user_ids, item_ids, clicks)
    wanted = fm.predict(row, np.arange(len(item_ids)))[dataset.items.ids.rows(by_fm.items.ids)]
    print(f"largest difference: {np.abs(by_fm.user_vectors[row] @ by_fm.item_vectors.T - wanted).max():.1e}")
else:
    print("LightFM is not installed here")

# %% [markdown]
# ### RecBole
#
# RecBole keeps its own numbering, with `[PAD]` in front; the tokens of its data set are your ids again. Graph models
# such as LightGCN are taken after propagation. A model whose score is no inner product (NeuMF, for one) is refused.
#
# ```python
# from coldstart.backbones.objects import from_recbole
#
# train_data, valid_data, test_data = data_preparation(config, dataset)
# ...
# backbone = from_recbole(model, train_data.dataset)
# ```
#
# LightFM and RecBole save their models as pickles, which can run anything when they are read and are not read here.
# Import the object where it was trained and take `backbone.save(folder)` with you.
#
# ## From files
#
# Vectors of any origin come as npz, parquet or safetensors, one file a side, with ids. Each is a line or two:

# %%
import json

import polars as pl
from safetensors.numpy import save_file

files = FOLDER / "my-vectors"
files.mkdir(parents=True, exist_ok=True)
sides = {"users": (backbone.users.ids, backbone.user_vectors), "items": (backbone.items.ids, backbone.item_vectors)}

for side, (ids, vectors) in sides.items():
    np.savez(files / f"{side}.npz", ids=np.array(ids), vectors=vectors)
    pl.DataFrame({"id": ids, "vector": vectors.tolist()}).write_parquet(files / f"{side}.parquet")
    save_file({"vectors": vectors}, files / f"{side}.safetensors", metadata={"ids": json.dumps(ids)})

rows, columns = backbone.clicks.nonzero()
pl.DataFrame(
    {
        "user_id": [backbone.users.ids[n] for n in rows],
        "item_id": [backbone.items.ids[n] for n in columns],
    }
).write_csv(files / "interactions.csv")

# %%
from coldstart.backbones.external import import_backbone
from coldstart.evaluation.report import Section

imported = {
    kind: import_backbone(files / f"users.{kind}", files / f"items.{kind}", interactions=files / "interactions.csv")
    for kind in ("npz", "parquet", "safetensors")
}
Section(
    "The same from each format",
    columns=("format", "sha256"),
    rows=tuple((kind, each.sha256) for kind, each in imported.items()),
)

# %% [markdown]
# Three formats, the same backbone to the byte. What `implicit` saves itself has no ids; name them in text files, an id
# a line:

# %%
model.save(str(files / "bpr.npz"))
(files / "user-ids.txt").write_text("\n".join(user_ids))
(files / "item-ids.txt").write_text("\n".join(item_ids))

from_file = import_backbone(
    files / "bpr.npz", files / "bpr.npz", user_ids=files / "user-ids.txt", item_ids=files / "item-ids.txt"
)
print(f"{len(from_file.users)} users, {len(from_file.items)} items")

# %% [markdown]
# The command line does the same:
#
# ```
# coldstart import-backbone --users users.npz --items items.npz --interactions interactions.csv
# ```
#
# ## What is wrong is named
#
# One number of one item is not a number:

# %%
from coldstart.errors import InvalidInput

broken = backbone.item_vectors.copy()
broken[4, 2] = np.nan
np.savez(files / "broken.npz", ids=np.array(backbone.items.ids), vectors=broken)
try:
    import_backbone(files / "users.npz", files / "broken.npz")
except InvalidInput as error:
    print(error)

# %% [markdown]
# ## An adapter on it
#
# From here on nothing asks where a backbone is from. The adapter is trained on yours, and places the arrivals in the
# space of your vectors. `run_seed` takes what it is given instead of training; we look at the validation part.

# %%
from adapters.config import AdapterConfig
from adapters.encoding import Encoders
from adapters.evaluation import run_seed

contents = Encoders.open().embed(dataset).contents
run = run_seed(
    dataset,
    split,
    contents,
    train_backbone=lambda events, validation, seed: backbone,
    seed=0,
    part="val",
    config=AdapterConfig(batch_items=128, patience=8),
)

# %%
from adapters.report import label
from coldstart.evaluation.protocols import LISTS

figures = {
    method: {name: float(judged.ndcg.mean()) for name, judged in lists.items()} for method, lists in run.judged.items()
}
Section(
    "NDCG@20 on the validation part",
    columns=("", *LISTS),
    rows=tuple((label(method), *map(found.get, LISTS)) for method, found in figures.items()),
)

# %% [markdown]
# Cold: arrivals alone; warm: known products alone; overall: both in one list. Your recommender had no
# place for an arrival; now it has, and not a byte of it has changed:

# %%
print(run.sha256_before)
print(run.sha256_after)

# %% [markdown]
# To serve it: `backbone.save(...)`, then an adapter as in [notebook 2](02_fine_tune_an_adapter.ipynb), or
# `coldstart train adapter my-data --backbone FOLDER`, and `coldstart serve`.
