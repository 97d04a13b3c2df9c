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
# # 1. Train a backbone
#
# A *backbone* is a recommender that learned from clicks alone. It gives each user and each item a vector; their inner
# product is the score. Here we train one on a small generated shop, look at its lists, and freeze it: whatever comes
# later works beside it and never changes a byte of it.
#
# The notebooks build on each other through one folder, and each of them also runs by itself. For your own data replace
# `open_sample(...)` by `read_dataset("my-data")`; `docs/data.md` says what the folder has to hold.

# %%
from pathlib import Path

FOLDER = Path("notebook-data")  # everything these notebooks write
SHOP = {"products": 600, "shoppers": 400, "clicks": 16_000}  # raise them for a shop closer to life; mind the minutes

# %% [markdown]
# ## The shop
#
# Products have a drawn picture, a text and some attributes. Shoppers have hidden tastes: pattern and palette show in
# the picture alone, the theme in the text alone.

# %%
from coldstart.sample import open_sample

dataset = open_sample(FOLDER / "shop", **SHOP)
print(f"{len(dataset.items)} products, {len(dataset.users)} shoppers, {len(dataset.interactions):,} clicks")
dataset.items.item(0)

# %%
import matplotlib.pyplot as plt
from PIL import Image


def shelf(rows, title):
    """Pictures and titles of the products at these rows."""
    figure, places = plt.subplots(1, len(rows), figsize=(1.9 * len(rows), 2.6), squeeze=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    for place, row in zip(places[0], rows, strict=True):
        item = dataset.items.item(row)
        place.imshow(Image.open(item.image))
        place.set_title(item.title.replace(" by ", "\nby "), fontsize=8)
        place.axis("off")
    figure.tight_layout()


shelf(range(0, 600, 75), "Eight of the products")

# %% [markdown]
# Clicks are unevenly spread, as everywhere: few products get many.

# %%
import numpy as np

per_product = np.bincount(dataset.interactions.item_rows, minlength=len(dataset.items))
per_shopper = np.bincount(dataset.interactions.user_rows, minlength=len(dataset.users))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
left.plot(np.sort(per_product)[::-1])
left.set(title="Products, most clicked first", xlabel="rank of the product", ylabel="clicks")
right.hist(per_shopper, bins=30)
right.set(title="Shoppers", xlabel="clicks of a shopper", ylabel="shoppers")
plt.show()

# %% [markdown]
# ## What is held out
#
# The newest tenth of the products are the *arrivals*: training sees none of their clicks. Half of them are for
# validation, half for a test at the very end. Of the other products a tenth of the clicks is held out for each.

# %%
from coldstart.evaluation.report import Section
from coldstart.splits import PARTS, read_split

split = read_split(dataset, "arrivals")
parts = {part: getattr(split, part) for part in PARTS}
Section(
    "Parts of the split",
    columns=("part", "clicks", "products"),
    rows=tuple((name, len(part), len(np.unique(part.item_rows))) for name, part in parts.items()),
)

# %% [markdown]
# ## Training
#
# Three contenders: alternating least squares (ALS), and LightGCN, which averages vectors over the graph of clicks, once
# from random vectors and once from the ALS solution. All are judged on the same held-out clicks, `warm_val`; training
# stops when these get no better.

# %%
from coldstart.backbones.config import ALSConfig, LightGCNConfig
from coldstart.backbones.training import train_backbone


def train(kind, config):
    return train_backbone(kind, dataset.users, dataset.items.ids, split.train, split.warm_val, config=config)


contenders = {
    "ALS": train("als", ALSConfig(d=64)),
    "LightGCN from random": train(
        "lightgcn", LightGCNConfig(d=64, start="random", learning_rate=1e-2, batch=64, epochs=20)
    ),
    "LightGCN from ALS": train("lightgcn", LightGCNConfig(d=64, batch=64, epochs=10, patience=3)),
}

# %%
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for name, trained in contenders.items():
    scores = trained.config["training"]["scores"]
    if len(scores) == 1:
        axes.axhline(scores[0], linestyle="--", color="grey", label=name)
    else:
        axes.plot(scores, marker="o", markersize=4, label=name)
axes.set(title="Held-out clicks of warm products", xlabel="epoch", ylabel="mean of Recall@20 and NDCG@20", ylim=0)
axes.legend()
plt.show()

# %% [markdown]
# A good start saves most of the work. We keep the best on validation; the test parts stay untouched.

# %%
best = max(contenders, key=lambda name: max(contenders[name].config["training"]["scores"]))
backbone = contenders[best]
print(f"{best}: {backbone.parameters:,} parameters, {backbone.dim} numbers a vector")

# %% [markdown]
# ## A list
#
# One shopper: what was clicked, and what comes first among the rest. Look for patterns and colours that repeat; the
# backbone has seen no picture, it found them in the clicks.

# %%
from coldstart.evaluation.metrics import rank

user = backbone.users.row("s0042")
clicked = backbone.clicks[user].indices[:8]
first = rank(backbone.user_vectors[[user]], backbone.item_vectors, 8, seen=backbone.clicks[[user]])[0]

in_dataset = dataset.items.ids.rows(backbone.items.ids)  # the backbone has rows of its own: ids connect the two
shelf(in_dataset[clicked], "Clicked")
shelf(in_dataset[first], "Recommended")

# %% [markdown]
# ## Frozen
#
# A saved backbone is two files and a fingerprint of their bytes. It loads as what it was, or not at all.

# %%
from coldstart.backbones import FrozenBackbone

backbone.save(FOLDER / "backbone")
loaded = FrozenBackbone.load(FOLDER / "backbone")
print(backbone.sha256)
print(loaded.sha256)

# %% [markdown]
# ## What it cannot do
#
# The arrivals are not among its items. Nobody has clicked them, so there is no vector, and they are on nobody's list.

# %%
arrivals = [dataset.items.ids.ids[row] for row in split.cold_items]
known = sum(item_id in backbone.items for item_id in arrivals)
print(f"{known} of {len(arrivals)} arrivals have a vector")

# %%
shelf(split.cold_items[:8], "On nobody's list")

# %% [markdown]
# Next: [2. Fine-tune an adapter](02_fine_tune_an_adapter.ipynb) gives them a place from text and picture.
# From the command line this was `coldstart train backbone notebook-data/shop --split arrivals`.
