"""How ``coldstart evaluate`` shows where it is (on stderr) and what it found (on stdout)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from adapters.evaluation import TRAIN_ADAPTER, TRAIN_BACKBONE
from adapters.report import LABELS, label, list_table, tell_displacement
from adapters.results import Evaluation
from api.cli.offline import console
from coldstart.evaluation.protocols import LISTS
from coldstart.evaluation.report import Cell, format_cell

_PAGE = 160
"""Columns of output that goes into a file: no terminal says how many there are."""


@contextmanager
def phases(seeds: int, methods: Sequence[str]) -> Iterator[Callable[[str], None]]:
    """A bar over what all seeds have to go through; plain lines where stderr is no terminal.

    It steps aside while a backbone is trained, which shows a bar of its own.
    """
    bars = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    each = 2 + len(methods)
    task = bars.add_task("", total=seeds * each)
    begun = 0

    def on_phase(name: str) -> None:
        nonlocal begun
        training = name in (TRAIN_BACKBONE, TRAIN_ADAPTER)
        what = f"judging {label(name)}" if name in LABELS else name if training else f"measuring {name}"
        description = f"seed {begun // each}: {what}"
        bars.update(task, completed=begun, description=description)
        begun += 1
        if name == TRAIN_BACKBONE:
            bars.stop()
        else:
            bars.start()
        if training or not console.is_terminal:
            console.print(description, highlight=False)

    try:
        yield on_phase
    finally:
        bars.stop()


def print_evaluation(result: Evaluation) -> None:
    """The tables and remarks of an evaluation, on stdout."""
    out = Console()
    if not out.is_terminal:
        out = Console(width=_PAGE)
    last, document = result.runs[-1], result.document()
    out.print(
        Text(f"{result.dataset}, split {result.split}, {'+'.join(result.modalities)}, {result.backbone}", style="bold")
    )
    for name in LISTS:
        columns, rows = list_table(result, name, leads=("ndcg@20",))
        judged = result.pooled["adapter"].get(name)
        if judged is None:
            out.print(f"{name}: the split holds nothing out to judge it by")
            continue
        out.print(_table(f"{name}, {len(judged.users):,} users", columns, rows))
    for finding in result.findings.values():
        out.print(_table(finding.section.title, finding.section.columns, finding.section.rows))
    moved = result.displacement
    out.print(
        *([f"overall list: {tell_displacement(moved)}"] if moved is not None else []),
        f"adapter: {last.adapter_parameters:,} trained parameters, "
        f"{last.adapter_parameters / last.backbone_parameters:.1%} of the backbone's {last.backbone_parameters:,}; "
        f"mean gates of the cold items: {_listed(last.mean_gates)}",
        *(f"chosen on validation for {label(method)}: {_listed(scalars)}"
          for method, scalars in document["chosen"].items()),
        f"backbone sha256 before {last.sha256_before}",
        f"                 after {last.sha256_after}",
        f"seconds: {_listed(result.seconds)}; {len(result.runs)} seed(s), mean ± standard deviation over seeds, "
        "[95 % interval over users]",
        sep="\n", soft_wrap=True, highlight=False, markup=False,
    )  # fmt: skip


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*(Text(format_cell(cell)) for cell in row))
    return table


def _listed(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())
