"""Where training tells how far it is."""

from rich.console import Console


def open_console(progress: bool) -> Console:
    """The error output; its ``is_terminal`` says whether to show bars: on a terminal, or where they are asked for."""
    return Console(stderr=True, force_terminal=progress or None)
