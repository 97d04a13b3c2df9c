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
# # 2. Fine-tune an adapter
#
# The backbone of [notebook 1](01_train_a_backbone.ipynb) knows nothing of a product that nobody has clicked. An
# *adapter* looks at such a product's text and picture and places it in the backbone's own space. It is small, it is
# tuned on products that were held out, and the backbone stays as it is to the byte. We check that.

# %%
from pathlib import Path

from coldstart.sample import open_sample
from coldstart.splits import read_split

FOLDER = Path("notebook-data")
SHOP = {"products": 600, "shoppers": 400, "clicks": 16_000}

dataset = open_sample(FOLDER / "shop", **SHOP)
split = read_split(dataset, "arrivals")

# %% [markdown]
# The frozen backbone that notebook 1 has left. Who comes here first gets a quick one.

# %%
from coldstart.backbones import FrozenBackbone
from coldstart.backbones.config import ALSConfig
from coldstart.backbones.training import train_backbone

if not (FOLDER / "backbone").exists():
    quick = train_backbone("als", dataset.users, dataset.items.ids, split.train, split.warm_val, config=ALSConfig(d=64))
    quick.save(FOLDER / "backbone")

backbone = FrozenBackbone.load(FOLDER / "backbone")
print(f"{backbone.kind}: {len(backbone.users)} users, {len(backbone.items)} items, {backbone.dim} numbers a vector")

# %% [markdown]
# ## Contents
#
# A sentence encoder reads titles, texts and attributes, a CNN looks at the pictures. Neither is trained here.
# Embeddings are kept in the cache folder, so the second time takes a moment.

# %%
from adapters.encoding import Encoders

encoders = Encoders.open()
contents = encoders.embed(dataset).contents
print(f"text {contents.text.shape}, pictures {contents.image.shape}; items with each: {contents.present.sum(axis=0)}")

# %% [markdown]
# ## Training, live
#
# Training starts from a closed form: the mean of the most similar warm products' vectors beside a content profile of
# each user. Gradient descent then moves the gates and a small residual. After each epoch the held-out arrivals are
# ranked, and an epoch is kept only where they are ranked better. Layers and batches are small, as the shop is; the
# defaults are for catalogues of thousands.

# %%
import matplotlib.pyplot as plt
from IPython.display import display

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
shown = display(figure, display_id=True)
plt.close(figure)  # what is shown is updated in place
epochs = []


def draw(epoch=None):
    """Add an epoch to both curves and show them."""
    if epoch is not None:
        epochs.append(epoch)
    numbers = [each.number for each in epochs]
    kept = [each for each in epochs if each.kept]
    left.clear(), right.clear()
    left.plot(numbers, [each.loss for each in epochs], marker="o", markersize=3)
    left.set(title="Training loss", xlabel="epoch", ylabel="loss")
    right.plot(numbers, [each.cold_ndcg for each in epochs], marker="o", markersize=3)
    right.plot([e.number for e in kept], [e.cold_ndcg for e in kept], "o", color="tab:green", label="kept")
    right.set(title="Arrivals held out for validation", xlabel="epoch", ylabel="NDCG@20")
    right.legend(loc="upper left")
    shown.update(figure)


# %%
from adapters.config import AdapterConfig
from adapters.training import train_adapter
from adapters.validation import split_validation

rows = dataset.items.ids.rows(backbone.items.ids)
trained = train_adapter(
    backbone,
    contents.take(rows),
    config=AdapterConfig(hidden=16, gate_hidden=8, residual_hidden=32, batch_items=128, learning_rate=5e-3, patience=8),
    validation=split_validation(dataset, split, backbone, contents),
    on_epoch=draw,
)
adapter = trained.adapter

# %% [markdown]
# The curves above grew while this cell ran. What was gained over the closed form, which is epoch 0:

# %%
right.axhline(trained.curve[0].cold_ndcg, linestyle="--", color="grey", label="closed form")
right.legend(loc="upper left")
shown.update(figure)

best = max(trained.curve, key=lambda epoch: epoch.cold_ndcg)
print(f"closed form {trained.curve[0].cold_ndcg:.3f}, epoch {best.number} {best.cold_ndcg:.3f}")

# %% [markdown]
# ## Parameters, counted

# %%
from coldstart.evaluation.report import Section

share = adapter.trained_parameters / backbone.parameters
Section(
    "Parameters",
    columns=("", "numbers", "share"),
    rows=(
        ("backbone, frozen", backbone.parameters, 1.0),
        ("adapter, trained", adapter.trained_parameters, share),
    ),
)

# %%
Section(
    "The adapter's tensors",
    columns=("tensor", "shape", "numbers"),
    rows=tuple(
        (name.replace("_", " "), " x ".join(map(str, value.shape)), value.size)
        for name, value in adapter.parameters.items()
    ),
)

# %% [markdown]
# The backbone grows with users and items, the adapter does not: on a shop of a million products it has as many
# parameters as here.
#
# ## The backbone, before and after
#
# `train_adapter` takes the SHA-256 of the backbone's bytes when it starts and when it ends, and refuses to go on where
# they differ. The third line is read from the disk again.

# %%
print("before  ", trained.sha256_before)
print("after   ", trained.sha256_after)
print("on disk ", FrozenBackbone.load(FOLDER / "backbone").sha256)

# %% [markdown]
# ## Saved, and at work
#
# An artifact is a folder without pickles: configuration, weights, and a card for whoever reviews it.

# %%
from IPython.display import Markdown

from adapters.artifact import save_artifact
from adapters.card import write_card

card = write_card(trained, dataset=dataset.name, split=split.name, modalities=("text", "image"), **encoders.names)
version = save_artifact(adapter, FOLDER / "adapter", backbone_dir=FOLDER / "backbone", card=card, **encoders.names)
print("version", version)
Markdown(card.split("| epoch")[0])

# %% [markdown]
# This is what the service loads. It takes external ids, embeddings and declared columns, and tells of each item the
# vector for the index, the gate weights, and whether it is cold.

# %%
from adapters.serving import ServedAdapter

service = ServedAdapter.load(FOLDER / "adapter")
new = split.cold_val_items
items = contents.take(new)
columns = [dataset.items.attributes[row] for row in new]
placed = service.serve([dataset.items.ids.ids[row] for row in new], items.text, items.image, items.present, columns)
print(f"{len(new)} arrivals, {placed.cold.sum()} of them cold; served vectors {placed.vectors.shape}")

# %% [markdown]
# One of the arrivals, and the warm products that lie nearest to it now:

# %%
import numpy as np
from PIL import Image

from coldstart.vectors import normalise

warm = contents.take(rows)
known = service.serve(backbone.items.ids, warm.text, warm.image, warm.present)
cosines = normalise(known.vectors) @ normalise(placed.vectors).T
nearest = rows[np.argsort(-cosines[:, 0])[:6]]

figure, places = plt.subplots(1, 7, figsize=(13, 2.5))
for place, row in zip(places, [new[0], *nearest], strict=True):
    item = dataset.items.item(row)
    place.imshow(Image.open(item.image))
    place.set_title(("NEW " if row == new[0] else "") + item.title.replace(" by ", "\nby "), fontsize=8)
    place.axis("off")
figure.tight_layout()

# %% [markdown]
# Who gets it? Here stands, for each arrival, how far up it is on the lists of those who truly click it, among all
# arrivals; 0.5 would be chance.

# %%
users = dataset.users.rows(backbone.users.ids)
truth = split.cold_val.matrix(len(dataset.users), len(dataset.items))[users][:, new].toarray() > 0
queries = np.array([service.user_vector(user_id) for user_id in backbone.users.ids])
places = (-queries @ placed.vectors.T).argsort(axis=1).argsort(axis=1) / (len(new) - 1)
means = np.array([1 - places[fans, item].mean() for item, fans in enumerate(truth.T) if fans.any()])

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
left.hist(means, bins=15, range=(0, 1))
left.axvline(0.5, color="grey", linestyle="--", label="chance")
left.legend(loc="upper left")
left.set(title="Where arrivals stand with those who click them", xlabel="0 last, 1 first", ylabel="arrivals")
right.hist(placed.gates[:, 1], bins=20, range=(0, 1))
right.set(title="What the gates give to the picture", xlabel="weight; the rest goes to the text", ylabel="arrivals")
plt.show()

# %% [markdown]
# Next: [3. Read the cold-start report](03_read_the_cold_start_report.ipynb) says how good that is, beside other
# methods. To see it served: `coldstart serve --adapter notebook-data/adapter --data notebook-data/shop`.
