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
# # 3. Read the cold-start report
#
# How good are the lists, and compared with what? An evaluation trains backbone and adapter on the training part, tunes
# everything on the validation parts, and then ranks the test parts in full. Here we run one on the sample shop and read
# it from top to bottom: the lists, how sure one can be, what happens to the known products, what the adapter looks at.

# %%
from pathlib import Path

from coldstart.sample import open_sample
from coldstart.splits import read_split

FOLDER = Path("notebook-data")
SHOP = {"products": 600, "shoppers": 400, "clicks": 16_000}

dataset = open_sample(FOLDER / "shop", **SHOP)
split = read_split(dataset, "arrivals")

# %%
from adapters.encoding import Encoders

contents = Encoders.open().embed(dataset).contents

# %% [markdown]
# ## Running it
#
# One call a seed. `methods` are the rivals that an adapter has to beat, each tuned on the same validation parts;
# `studies` are further measurements. While you develop, say `part="val"`: the test part is for the end, when nothing is
# left to choose.

# %%
from adapters.baseline_tuning import METHODS
from adapters.config import AdapterConfig
from adapters.evaluation import run_seed
from adapters.results import Evaluation
from adapters.studies import parse_studies
from coldstart.backbones.config import ALSConfig
from coldstart.backbones.training import train_backbone

ADAPTER = AdapterConfig(
    hidden=16, gate_hidden=8, residual_hidden=32, batch_items=128, learning_rate=5e-3, patience=8
)  # small, as in notebook 2
SEEDS = 1  # more of them say how much depends on the luck of a training
studies = parse_studies("all")


def train(events, validation, seed):
    config = ALSConfig(d=64)
    return train_backbone("als", dataset.users, dataset.items.ids, events, validation, config=config, seed=seed)


runs = [
    run_seed(
        dataset,
        split,
        contents,
        train_backbone=train,
        seed=seed,
        methods=METHODS,
        studies=studies,
        config=ADAPTER,
    )
    for seed in range(SEEDS)
]
evaluation = Evaluation(
    dataset.name, split.name, ("text", "image"), "als", tuple(runs), encode_seconds=0.0, studies=studies
)

# %% [markdown]
# ## Three lists
#
# *Cold*: the arrivals alone are ranked, which asks whether content finds the right shoppers. *Warm*: the known products
# alone. *Overall*: both in one list, as a shop would show it, which also asks how a new product compares with a known
# one. Recall@20 is the share of a shopper's held-out clicks among the first 20; NDCG@20 also asks how far up they are.
# In brackets: where the mean would lie for 95 % of the draws if other shoppers like these had been asked.

# %%
from adapters.report import LIST_TITLES, list_table
from coldstart.evaluation.report import Section


def table(name):
    columns, rows = list_table(evaluation, name, leads=())
    return Section(LIST_TITLES[name], columns=columns, rows=rows)


table("cold")

# %% [markdown]
# The backbone alone has no row of figures: without clicks it has no vector, and any order would be ours.

# %%
table("warm")

# %%
table("overall")

# %% [markdown]
# ## Luck or lead?
#
# Two intervals that overlap say little, because the same shoppers are in both. Compare user by user instead: where the
# interval of the *difference* lies right of zero, the adapter's lead is no luck of the draw. Where it spans zero, say
# "no difference was found", not "the same"; where it lies left of zero, the rival is better on this data.

# %%
import matplotlib.pyplot as plt

from adapters.report import label

figure, plots = plt.subplots(1, 2, figsize=(10, 3), layout="constrained", sharey=True)
for axes, name in zip(plots, ("cold", "overall"), strict=True):
    for place, lists in enumerate(evaluation.differences.values()):
        lead = lists.get(name, {}).get("ndcg@20")
        if lead is not None:
            axes.plot([lead.interval.low, lead.interval.high], [place, place], color="tab:blue")
            axes.plot(lead.mean, place, "o", color="tab:blue")
    axes.axvline(0, color="grey", linestyle="--")
    axes.set(title=f"{name} list", xlabel="adapter's lead, NDCG@20")
plots[0].set_yticks(range(len(evaluation.differences)), [label(method) for method in evaluation.differences])
plots[0].invert_yaxis()
plt.show()

# %% [markdown]
# ## What happens to the known products
#
# Some places of a list now go to arrivals. If nothing else changed, the rest would be the head of the backbone's own
# list, in its order. How close to that are we?

# %%
from adapters.report import tell_displacement

print(tell_displacement(evaluation.displacement))

# %%
lead = evaluation.differences["backbone"]["warm"]["ndcg@20"]
print(f"warm list, adapter minus backbone: {lead.mean:+.3f} [{lead.interval.low:+.3f}, {lead.interval.high:+.3f}]")

# %% [markdown]
# The order among known products changes only as far as their content helped on held-out clicks of the validation part.
#
# ## What the adapter looks at
#
# A gate weighs text against picture, product by product. The sample shop hides half of what matters in each.

# %%
gates = runs[0].gates
figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
for n, modality in enumerate(runs[0].modalities):
    axes.hist(gates[:, n], bins=25, range=(0, 1), alpha=0.6, label=f"{modality}, mean {gates[:, n].mean():.2f}")
axes.set(title="Gate weights of the arrivals", xlabel="weight", ylabel="arrivals")
axes.legend(loc="upper left")
plt.show()

# %% [markdown]
# ## Further studies
#
# Each that the data can tell something about is a title, a few words and a table.

# %%
from IPython.display import display

for finding in evaluation.findings.values():
    display(finding.section)
print(f"{len(evaluation.findings)} of {len(studies)} studies had something to tell")

# %% [markdown]
# ## The same as one page
#
# `make_report` puts all of it on a page that needs no network, to be sent to whoever asks. Shown here, it scrolls.

# %%
from adapters.report import make_report
from coldstart.evaluation.report import render

report = make_report(evaluation)
(FOLDER / "report.html").write_text(render(report))
report

# %% [markdown]
# And as numbers for a program, or for a comparison over time:

# %%
document = evaluation.document()
{name: document[name] for name in ("cold", "warm", "overall", "adapter_parameters", "backbone_parameters")}

# %% [markdown]
# From the command line this was
#
# ```
# coldstart evaluate notebook-data/shop --split arrivals --backbone als --methods all --report report.html
# ```
#
# Next: [4. Bring your own embeddings](04_bring_your_own_embeddings.ipynb).
