"""A report as data, and the one HTML file it becomes: nothing in it is fetched from anywhere.

Whoever measures something supplies a `Section`; how it looks is the template's affair.
"""

import html
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from coldstart.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from jinja2 import Template

Cell = str | int | float | None
"""Of a table: text, a count, a figure (three decimals), or nothing."""
ABSENT = "–"


@dataclass(frozen=True)
class Series:
    """Numbers of one name in a plot.

    Parameters
    ----------
    name : str
    y : tuple of float or None
        ``None`` leaves a gap.
    x : tuple of float
        Where the points of a line are; bars stand at the plot's groups.
    bounds : tuple of (low, high) or None
        Of an interval around each y.
    """

    name: str
    y: tuple[float | None, ...]
    x: tuple[float, ...] = ()
    bounds: tuple[tuple[float, float] | None, ...] = ()

    def __post_init__(self) -> None:
        for other in (self.x, self.bounds):
            _require(not other or len(other) == len(self.y), self.name, "x, y and bounds differ in length")


@dataclass(frozen=True)
class Lines:
    """Curves over a number; ``log_x`` for counts that grow by factors (0 included)."""

    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False

    def __post_init__(self) -> None:
        for series in self.series:
            _require(len(series.x) == len(series.y), series.name, "a line needs an x for each y")


@dataclass(frozen=True)
class Bars:
    """Bars side by side in each group."""

    y_label: str
    groups: tuple[str, ...]
    series: tuple[Series, ...]
    x_label: str = ""

    def __post_init__(self) -> None:
        for series in self.series:
            _require(len(series.y) == len(self.groups), series.name, "bars need a y for each group")


Plot = Lines | Bars


@dataclass(frozen=True)
class Section:
    """One finding: what it says in words, a plot and a table, each of which may be missing.

    Parameters
    ----------
    text : str
        Paragraphs, separated by empty lines.
    columns, rows : tuple
        A row's first cell is its name.
    emphasis : str
        Name of the row that the section is about.
    """

    title: str
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    plot: Plot | None = None
    emphasis: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            _require(len(row) == len(self.columns), self.title, "rows and columns differ in length")

    def _repr_markdown_(self) -> str:
        """Title, text and table within a notebook.

        >>> print(Section("Sizes", columns=("part", "clicks"), rows=(("train", 11497),))._repr_markdown_())
        **Sizes**
        <BLANKLINE>
        | part | clicks |
        | :-- | --: |
        | train | 11,497 |
        """
        rule = (":--", *("--:" for _ in self.columns[1:]))
        cells = ([format_cell(cell).replace("|", "\\|") for cell in row] for row in (self.columns, rule, *self.rows))
        table = "\n".join(f"| {' | '.join(row)} |" for row in cells) if self.columns else ""
        return "\n\n".join(part for part in (self.title and f"**{self.title}**", self.text, table) if part)


@dataclass(frozen=True)
class Report:
    """A title, what was done in words, facts by name, and the findings."""

    title: str
    text: str
    facts: tuple[tuple[str, Cell], ...] = ()
    sections: tuple[Section, ...] = ()

    def _repr_html_(self) -> str:
        """The page within a notebook, in a frame: neither's style reaches the other."""
        page, title = (html.escape(text) for text in (render(self), self.title))
        return f'<iframe srcdoc="{page}" title="{title}" style="width: 100%; height: 40rem; border: 0"></iframe>'


def render(report: Report) -> str:
    """The report as one HTML document.

    Raises
    ------
    MissingExtra
        Where it has a plot and matplotlib is not installed.
    """
    return _template().render(report=report)


def require_plots() -> None:
    """Raise `MissingExtra` where matplotlib is not installed: before the work, whose report could not be drawn."""
    if find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", extra="train", purpose="Drawing a report's plots")


def format_cell(cell: Cell) -> str:
    """A table's cell as it is read.

    >>> [format_cell(cell) for cell in ("ridge", 78482, 0.40251, None)]
    ['ridge', '78,482', '0.403', '–']
    """
    match cell:
        case None:
            return ABSENT
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.3f}"
    return cell


def describe(plot: Plot) -> str:
    """A plot in words, for whoever does not see it.

    >>> describe(Bars("NDCG@20", ("cold", "warm"), (Series("adapter", (0.25, None)),)))
    'Bar chart of NDCG@20. adapter: cold 0.250, warm –.'
    """
    if isinstance(plot, Bars):
        kind, names = f"Bar chart of {plot.y_label}", [plot.groups] * len(plot.series)
    else:
        kind = f"Line chart of {plot.y_label} over {plot.x_label}"
        names = [tuple(f"{x:g}" for x in series.x) for series in plot.series]
    told = [
        f"{series.name}: " + ", ".join(f"{at} {format_cell(y)}" for at, y in zip(where, series.y, strict=True))
        for series, where in zip(plot.series, names, strict=True)
    ]
    return f"{kind}. {'; '.join(told)}."


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("coldstart.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(cell=format_cell, unbroken=_unbroken)
    environment.globals["draw"] = _draw
    return environment.get_template("report.html")


def _unbroken(cell: str) -> str:
    """A figure that may be broken before its interval and nowhere else."""
    return cell.replace(", ", ",\u00a0").replace(" ± ", "\u00a0±\u00a0")


def _draw(plot: Plot, key: str) -> str:
    from coldstart.evaluation.plots import draw

    return draw(plot, alt=describe(plot), key=key)


def _require(fine: bool, subject: str, what: str) -> None:
    if not fine:
        raise InvalidInput(what, subject=f"report, {subject}", remedy="Give one for each")
