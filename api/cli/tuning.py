"""What is tuned about a backbone, as flags: they make the config of the kind that is trained."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coldstart.errors import InvalidInput

if TYPE_CHECKING:
    from coldstart.backbones.config import Config

Kind = Literal["lightgcn", "neumf", "als"]
Loss = Literal["multinomial", "sampled_softmax", "bpr"]
Feedback = Literal["implicit", "explicit"]

FLAGS: Mapping[str, Any] = {
    "dim": Annotated[int | None, typer.Option(min=1, help="Width of the vectors")],
    "epochs": Annotated[int | None, typer.Option(min=1, help="Passes over the clicks, at most; exactly, for als")],
    "learning_rate": Annotated[float | None, typer.Option(help="Of Adam; lightgcn and neumf")],
    "loss": Annotated[Loss | None, typer.Option(help="What is minimised; lightgcn")],
    "layers": Annotated[int | None, typer.Option(min=0, help="Hops over the graph of clicks; lightgcn")],
    "feedback": Annotated[Feedback | None, typer.Option(help="Clicks, or the column rating; neumf")],
    "context": Annotated[
        str | None,
        typer.Option(help="Columns of the interactions, and hour, weekday of the timestamp: hour,device; neumf"),
    ],
    "alpha": Annotated[
        float | None, typer.Option(help="Weight of a click, where no click weighs 1; als, which else chooses it")
    ],
    "regularisation": Annotated[
        float | None, typer.Option(help="Weight of the squared norms; als, which else chooses it")
    ],
}

_FIELDS: Mapping[Kind, Mapping[str, str]] = {
    "lightgcn": {"dim": "d", **{name: name for name in ("epochs", "learning_rate", "loss", "layers")}},
    "neumf": {"dim": "d", **{name: name for name in ("epochs", "learning_rate", "feedback", "context")}},
    "als": {"dim": "d", "epochs": "iterations", "alpha": "alpha", "regularisation": "regularisation"},
}
"""Of each kind: its flags, and the fields of its config that they set."""


def make_config(kind: Kind, given: Mapping[str, object]) -> "Config":
    """The kind's config with the flags that were given; those that are ``None`` keep its defaults.

    Raises
    ------
    InvalidInput
        Where a flag does not belong to the kind, or its value is of no use.
    """
    from coldstart.backbones.config import ALSConfig, LightGCNConfig, NeuMFConfig

    fields: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        flag = f"--{name.replace('_', '-')}"
        if name not in _FIELDS[kind]:
            kinds = " or ".join(each for each in _FIELDS if name in _FIELDS[each])
            raise InvalidInput(
                f"a backbone of kind {kind} has no such option", subject=flag, remedy=f"Leave it out, or train {kinds}"
            )
        if isinstance(value, float) and not 0 < value < math.inf:
            raise InvalidInput(f"{value:g} is not a positive number", subject=flag, remedy="Give one")
        fields[_FIELDS[kind][name]] = _columns(value) if name == "context" else value
    match kind:
        case "lightgcn":
            return LightGCNConfig(**fields)
        case "neumf":
            return NeuMFConfig(**fields)
        case "als":
            return ALSConfig(**fields)


def with_tuning(kind: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags above and pass it the config that they make, as its keyword argument ``config_of_kind``.

    ``kind`` names the command's own parameter that says which kind is trained.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        keyword_only = inspect.Parameter.KEYWORD_ONLY
        own = [p for name, p in inspect.signature(command).parameters.items() if name != "config_of_kind"]
        flags = [inspect.Parameter(n, keyword_only, default=None, annotation=FLAGS[n]) for n in FLAGS]

        @wraps(command)
        def run(*arguments: Any, **values: Any) -> None:
            given = {name: values.pop(name) for name in FLAGS}
            command(*arguments, **values, config_of_kind=make_config(values[kind], given))

        run.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
        del run.__wrapped__  # else the command's own signature would be read
        return run

    return decorate


def _columns(value: object) -> tuple[str, ...]:
    return tuple(name.strip() for name in str(value).split(",") if name.strip())
