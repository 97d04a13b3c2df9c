"""The command line: ``coldstart COMMAND``. A command imports what it needs when it runs, so that help is quick."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from api.cli.adapters import adapters
from api.cli.backfill import backfill
from api.cli.backup import backup, restore
from api.cli.consume import consume
from api.cli.demo import demo
from api.cli.doctor import doctor
from api.cli.evaluate import evaluate
from api.cli.experiments import experiments
from api.cli.export import export
from api.cli.export_triton import triton
from api.cli.import_backbone import import_backbone
from api.cli.keys import keys
from api.cli.serve import serve
from api.cli.train import train
from api.cli.worker import worker
from coldstart.errors import ColdstartError


class _Group(TyperGroup):
    """Commands whose expected errors are one line and exit code 2, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except ColdstartError as error:
            message = str(error)
        except OSError as error:
            if error.filename is None:  # not about a path: nothing that the user named
                raise
            message = f"{error.filename}: {error.strerror}. Name another path, or check its owner and its disk"
        print(f"coldstart: {message}", file=sys.stderr)
        raise typer.Exit(2)


app = typer.Typer(
    cls=_Group,
    help="Makes new items and new users recommendable at once, beside a frozen collaborative backbone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (demo, serve, worker, consume, evaluate, import_backbone, backfill, doctor, backup, restore):
    app.command()(command)
export.command()(triton)
app.add_typer(train, name="train")
app.add_typer(export, name="export")
app.add_typer(keys, name="keys")
app.add_typer(experiments, name="experiments")
app.add_typer(adapters, name="adapters")
