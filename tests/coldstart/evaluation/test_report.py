import re
from html.parser import HTMLParser

import pytest

from coldstart.errors import InvalidInput
from coldstart.evaluation.report import Bars, Lines, Plot, Report, Section, Series, describe, render

BARS = Bars("NDCG@20", ("cold", "warm"), (Series("adapter", (0.25, None), bounds=((0.2, 0.3), None)),))
LINES = Lines("clicks", "Recall@20", (Series("mean", (0.1, 0.2), x=(0.0, 10.0)),), log_x=True)
SECTION = Section("Curves", "First.\n\nSecond.", ("method", "Recall@20", "n"), (("adapter", 0.25, 1200),), BARS)


class Outline(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name)) is not None]


def outline(*sections: Section, title: str = "Report") -> Outline:
    return Outline(render(Report(title, "What was done.", (("seeds", 3),), sections)))


def test_a_section_becomes_paragraphs_a_figure_and_a_table() -> None:
    page = outline(SECTION)
    assert {"First.", "Second.", "adapter", "0.250", "1,200"} <= set(page.texts)
    headers = [attrs["scope"] for tag, attrs in page.tags if tag == "th"]
    assert headers == ["col", "col", "col", "row"]
    assert [tag for tag, _ in page.tags].count("svg") == 1


def test_an_interval_is_not_torn_apart() -> None:
    page = outline(Section("s", columns=("m", "f"), rows=(("a", "0.4 ± 0.1 [0.3, 0.5]"),)))
    assert "0.4\u00a0±\u00a00.1 [0.3,\u00a00.5]" in page.texts


def test_names_from_outside_stay_text() -> None:
    evil = "<b>x</b>"
    plots = (Bars(evil, (evil,), (Series(evil, (1.0,)),)), Lines(evil, evil, (Series(evil, (1.0,), x=(1.0,)),)))
    sections = [Section(evil, evil, (evil,), ((evil,),), plot, emphasis=evil) for plot in plots]
    html = render(Report(evil, evil, ((evil, evil),), tuple(sections)))
    assert "<b>" not in html and 'b>"' not in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html


def test_dollars_are_no_formula_and_underscores_hide_nothing() -> None:
    assert {"$x$", "_a"} <= set(outline(Section("s", plot=Bars("y", ("$x$",), (Series("_a", (1.0,)),)))).texts)


def test_nothing_is_fetched_and_no_id_is_given_twice() -> None:
    page = outline(SECTION, SECTION, Section("More", plot=LINES))
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe")]
    assert all(value.startswith("#") for name in ("href", "src", "xlink:href") for value in page.values(name))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    pointed = {value[1:] for value in (*page.values("href"), *page.values("xlink:href"))}
    pointed |= {match for value in page.values("clip-path") for match in re.findall(r"#([^)]+)", value)}
    assert pointed <= set(ids)


def test_plots_take_their_colours_from_the_page_and_have_an_alternative() -> None:
    html = render(Report("r", "t", (), (SECTION, Section("More", plot=LINES))))
    for drawn in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        assert not re.findall(r"#[0-9a-f]{6}\b", drawn)
        assert "var(--series-1)" in drawn and "var(--ink)" in drawn
    assert html.count("prefers-color-scheme: dark") == 1
    assert "Bar chart of NDCG@20. adapter: cold 0.250, warm –." in outline(SECTION).values("aria-label")


@pytest.mark.parametrize(
    "plot", [Bars("y", ("a",), ()), Lines("x", "y", (Series("gap", (None, 0.5), x=(0.0, 1.0)),)), Bars("y", (), ())]
)
def test_a_plot_with_little_in_it_is_drawn(plot: Plot) -> None:
    assert describe(plot)
    assert [tag for tag, _ in outline(Section("s", plot=plot)).tags].count("svg") == 1


def test_the_same_report_is_the_same_bytes() -> None:
    report = Report("r", "t", (), (SECTION, Section("More", plot=LINES)))
    assert render(report) == render(report)


def test_a_notebook_shows_the_page_in_a_frame_of_its_own() -> None:
    report = Report('the "report"', "t", (), (SECTION,))
    (tag, attributes), *others = Outline(report._repr_html_()).tags
    assert (tag, others) == ("iframe", [])
    assert (attributes["title"], attributes["srcdoc"]) == (report.title, render(report))


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Section("s", columns=("a", "b"), rows=(("only one",),)),
        lambda: Bars("y", ("a", "b"), (Series("short", (1.0,)),)),
        lambda: Lines("x", "y", (Series("nowhere", (1.0,)),)),
        lambda: Series("s", (1.0, 2.0), bounds=((0.0, 1.0),)),
    ],
)
def test_data_that_do_not_fit_together_are_refused(broken: object) -> None:
    assert callable(broken)
    with pytest.raises(InvalidInput, match="report"):
        broken()
