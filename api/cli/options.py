"""Settings as flags: each field of `Settings` is an option of its own name."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from coldstart.settings import Settings, trace_settings

Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file; coldstart.toml where it exists", show_default=False)
]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON")]


def moment(at: float | None) -> str | None:
    """A time in Unix seconds as results tell it, ``None`` where there is none.

    >>> moment(0.0)
    '1970-01-01T00:00:00+00:00'
    """
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def with_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of these settings (of all, without names) and pass it the `Settings` they make.

    The command takes ``settings`` as its first argument, and ``sources`` if it wants to know where each that is not a
    default comes from; its other parameters stay its own.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        taken = inspect.signature(command).parameters
        own = [parameter for name, parameter in taken.items() if name not in ("settings", "sources")]
        flags = [_flag(name) for name in names or Settings.model_fields]
        config = inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Config)

        @wraps(command)
        def run(config: Path | None, **values: Any) -> None:
            mine = {parameter.name: values.pop(parameter.name) for parameter in own}
            if hosts := values.get("image_hosts"):  # the one setting that is a list
                values["image_hosts"] = tuple(hosts.split(","))
            settings, sources = trace_settings(config=config, **values)
            command(settings, **({"sources": sources} if "sources" in taken else {}), **mine)

        keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        run.__signature__ = inspect.Signature([*keyword, config, *flags])  # type: ignore[attr-defined]
        del run.__wrapped__  # else the command's own signature would be read
        return run

    return decorate


def _flag(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    annotation: Any = field.annotation
    switch = f"--{name.replace('_', '-')}"
    if annotation is bool:
        switch = f"{switch}/--no-{name.replace('_', '-')}"
    elif get_origin(annotation) is tuple:
        annotation = str
    shown = "" if field.default is None or field.default == () else f" \\[{field.default}]"
    option = typer.Option(switch, help=f"{field.description}{shown}", show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation | None, option]
    )
