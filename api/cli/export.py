"""``coldstart export``: models as files, for the service and for other runtimes."""

import typer

export = typer.Typer(help="Write models as files, for the service and for other runtimes.", no_args_is_help=True)
