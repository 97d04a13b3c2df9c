"""The adapter's card: what it is, what it was trained on, how well, in words that a reviewer can check."""

from collections.abc import Sequence
from dataclasses import fields

from adapters.artifact import EncoderName
from adapters.training import Trained


def write_card(
    trained: Trained,
    *,
    dataset: str,
    split: str | None,
    modalities: Sequence[str],
    text: EncoderName,
    image: EncoderName,
) -> str:
    """Markdown for ``card.md``."""
    adapter = trained.adapter
    backbone = adapter.backbone
    share = adapter.trained_parameters / backbone.parameters
    part = f"the train part of split `{split}`" if split else "all interactions"
    how = (
        f"the validation parts of split `{split}`" if split else "a tenth of the warm items, hidden and treated as cold"
    )
    curve = "\n".join(
        f"| {epoch.number} | {epoch.loss:.4f} | {epoch.cold_ndcg:.4f} | {'yes' if epoch.kept else ''} |"
        for epoch in trained.curve
    )
    scales = "\n".join(
        f"| {name}{field.name} | {getattr(scalars, field.name):g} |"
        for name, scalars in (("", adapter.scales), ("fold-in: ", adapter.folding))
        for field in fields(scalars)
    )
    columns = ", and its declared columns," if len(trained.adapter.centering.terms.buckets) else ""
    return f"""# Adapter on {dataset}

Places an item's {" and ".join(modalities)}{columns} in the space of a frozen {backbone.kind} backbone.

- Backbone: {len(backbone.users):,} users, {len(backbone.items):,} items, d = {backbone.dim}, trained on {part};
  sha256 before training the adapter `{trained.sha256_before}`, after `{trained.sha256_after}`.
- Text: `{text.model}` ({text.fingerprint}); pictures: `{image.model}` ({image.fingerprint}).
- {adapter.trained_parameters:,} trained parameters, {share:.2%} of the backbone's {backbone.parameters:,}; served
  vectors have {adapter.dim} numbers.
- Tuned on {how}.

| epoch | training loss | cold NDCG@20 on validation | kept |
|---|---|---|---|
{curve}

Epoch 0 is the closed form: the mean of the nearest warm items' frozen vectors beside the content profile.

| scalar | value |
|---|---|
{scales}
"""
