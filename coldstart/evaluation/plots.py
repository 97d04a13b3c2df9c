"""Plots of a report as inline SVG, whose colours are the page's: they follow its light or dark scheme."""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from coldstart.evaluation.report import Bars, Lines, Plot, Series, require_plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib knows no CSS: colours nobody would choose are drawn with, and replaced by the page's variables.
_INK, _FAINT = "#010203", "#010204"
_SERIES = tuple(f"#c0ffe{n}" for n in range(6))
_VARIABLES = {_INK: "var(--ink)", _FAINT: "var(--line)", **{c: f"var(--series-{n})" for n, c in enumerate(_SERIES, 1)}}
_MARKERS = ("o", "s", "^", "D", "v", "P")
_WIDTH = 84
"""Letters that fit side by side; a key's mark takes the room of 6."""
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _FAINT, "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True,
    "axes.labelcolor": _INK, "axes.spines.left": False, "axes.spines.right": False, "axes.spines.top": False,
    "font.size": 10, "grid.color": _FAINT, "grid.linewidth": 0.6, "legend.frameon": False, "legend.labelcolor": _INK,
    "svg.fonttype": "none", "svg.hashsalt": "coldstart", "text.color": _INK, "text.parse_math": False,
    "xtick.color": _FAINT, "xtick.labelcolor": _INK, "ytick.color": _FAINT, "ytick.labelcolor": _INK,
    "ytick.major.size": 0,
}  # fmt: skip


def draw(plot: Plot, *, alt: str, key: str) -> Markup:
    """The plot as an ``<svg>`` element.

    Parameters
    ----------
    alt : str
        What it shows, in words.
    key : str
        Starts the ids in it, which are unique on a page only so.

    Raises
    ------
    MissingExtra
        Where matplotlib is not installed.
    """
    require_plots()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        match plot:
            case Bars():
                drawn = _bars(axes, plot)
            case Lines():
                drawn = _lines(axes, plot)
        axes.set_ylabel(plot.y_label)
        axes.set_xlabel(plot.x_label)
        if drawn:
            names = [series.name for series in plot.series]
            columns = max(1, min(len(names), _WIDTH // (max(map(len, names)) + 6)))
            figure.legend(drawn, names, loc="outside upper left", ncols=columns, handlelength=1.2)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), alt=alt, key=key)


def _bars(axes: "Axes", plot: Bars) -> list[Any]:
    drawn: list[Any] = []
    width = 0.8 / max(len(plot.series), 1)
    for n, series in enumerate(plot.series):
        places = [g + (n - (len(plot.series) - 1) / 2) * width for g in range(len(plot.groups))]
        heights = [0.0 if y is None else y for y in series.y]
        drawn.append(axes.bar(places, heights, 0.9 * width, color=_colour(n)))
        _whiskers(axes, places, series, _INK)
    axes.set_xticks(range(len(plot.groups)), plot.groups)
    axes.tick_params(axis="x", length=0)
    return drawn


def _lines(axes: "Axes", plot: Lines) -> list[Any]:
    drawn: list[Any] = []
    for n, series in enumerate(plot.series):
        heights = [float("nan") if y is None else y for y in series.y]
        marker = _MARKERS[n % len(_MARKERS)]
        drawn += axes.plot(series.x, heights, color=_colour(n), marker=marker, markersize=4, linewidth=1.6)
        _whiskers(axes, series.x, series, _colour(n))
    if plot.log_x:
        axes.set_xscale("symlog", linthresh=1)
        ticks = sorted({x for series in plot.series for x in series.x})
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.minorticks_off()
    elif all(x == round(x) for series in plot.series for x in series.x):
        axes.locator_params(axis="x", integer=True)
    return drawn


def _whiskers(axes: "Axes", places: Sequence[float], series: Series, colour: str) -> None:
    for x, bounds in zip(places, series.bounds, strict=False):
        if bounds is not None:
            axes.plot([x, x], bounds, color=colour, linewidth=1, solid_capstyle="butt")


def _colour(n: int) -> str:
    return _SERIES[n % len(_SERIES)]


def _inline(svg: str, *, alt: str, key: str) -> Markup:
    """The element alone, with ids of its own and the page's colours and typeface."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{key}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{key}-", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1))  # noqa: S704 (escaped)
