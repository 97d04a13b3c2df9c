"""The page at ``/``, in a real browser against the running service."""

import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import httpx
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect

from api.console import POLICY
from coldstart.access import Scope
from tests.api.conftest import follow
from tests.browser import chromium

WIDE: ViewportSize = {"width": 1440, "height": 900}
NARROW: ViewportSize = {"width": 360, "height": 740}
NASTY = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>{{7*7}}"\'>'
AXE = os.environ.get("COLDSTART_TEST_AXE", "")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser: Browser, service_url: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; when the test is over, everything that the browser complained about fails it."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def opened(
        *,
        view: str = "",
        viewport: ViewportSize = WIDE,
        scheme: Literal["light", "dark"] = "light",
        expected: str = "",
        keys: Sequence[str] = (),
    ) -> Page:
        """``expected``: a pattern of messages in the browser's console that the test brings about.

        ``keys`` are typed one after the other when the page asks for a key.
        """

        def on_console(message: ConsoleMessage) -> None:
            if not (expected and re.search(expected, message.text)):
                complaints.append(f"{message.type}: {message.text}")

        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        page.goto(f"{service_url}/{view}")
        for key in keys:
            expect(page.get_by_label("API key", exact=True)).to_have_value("")
            page.get_by_label("API key", exact=True).fill(key)
            page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#grid .card:not(.skeleton)").first).to_be_attached()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = Image.new("RGB", (240, 160), "#eef1f4")
    ImageDraw.Draw(image).ellipse((70, 30, 170, 130), fill="#d9622b")
    path = tmp_path_factory.mktemp("pictures") / "lamp.png"
    image.save(path)
    return path


def post(page: Page, title: str, picture: Path | None = None, *, item_id: str = "") -> None:
    """Fill the form, send it, and wait until the page says that the item can be recommended."""
    page.get_by_label("Title", exact=True).fill(title)
    page.get_by_label("Description").fill("A small lamp with a warm glow.")
    page.locator("#post-id").fill(item_id)
    if picture:
        page.locator("#post-picture").set_input_files(picture)
        expect(page.locator("#preview")).to_be_visible()
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#post-result .headline")).to_contain_text("to recommendable")


def ask(page: Page) -> None:
    page.get_by_role("button", name="Recommend", exact=True).click()
    expect(page.locator(".ranked li").first).to_be_visible()


def test_page_is_served_under_a_strict_policy_and_is_small(service_url: str) -> None:
    answer = httpx.get(service_url)
    assert answer.headers["content-security-policy"] == POLICY
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY
    assert "style=" not in answer.text and "onclick=" not in answer.text
    addresses = re.findall(r'(?:src|href)="([^"#]+)"', answer.text)
    assert all(address.startswith("static/") or address == "docs" for address in addresses)
    parts = {address: httpx.get(f"{service_url}/{address}") for address in set(addresses) - {"docs"}}
    assert {part.status_code for part in parts.values()} == {200}
    assert len(answer.content) + sum(len(part.content) for part in parts.values()) < 64_000


def test_catalogue_shows_cards_with_pictures_and_the_service_figures(visit: Callable[..., Page]) -> None:
    page = visit()
    expect(page.locator("#figure-retrievable")).to_have_text(re.compile(r"^[\d,]+$"))
    image = page.locator("#grid .picture img").first
    expect(image).to_be_visible()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
    expect(page.locator("#grid .badge.warm, #grid .badge.cold").first).to_be_visible()


def test_post_is_followed_to_retrievable_and_leads_the_grid(visit: Callable[..., Page], picture: Path) -> None:
    page = visit()
    post(page, "Burnt orange reading lamp", picture, item_id="lamp/ä 1")
    expect(page.locator("#post-result .steps li.reached")).to_have_count(4)
    expect(page.locator("#post-live")).to_have_text(re.compile(r"retrievable after \d"))
    first = page.locator("#grid .card").first
    expect(first).to_contain_text("Burnt orange reading lamp")
    expect(first.locator(".badge")).to_have_text("cold")
    expect(page.locator("#post-result")).to_contain_text("Who gets it")
    expect(page.get_by_label("Title", exact=True)).to_have_value("")


def test_dialog_tells_what_an_item_is_and_how_it_got_here(visit: Callable[..., Page], picture: Path) -> None:
    page = visit()
    post(page, "Lamp to look at", picture)
    page.locator("#grid .card-open").first.press("Enter")
    dialog = page.get_by_role("dialog", name="Lamp to look at")
    expect(dialog).to_contain_text("placed by words and picture")
    expect(dialog.locator(".gate")).to_have_count(2)
    expect(dialog.locator(".steps li.reached")).to_have_count(4)
    dialog.locator(".strip button").first.click()
    expect(page.locator("#detail-title")).not_to_have_text("Lamp to look at")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).not_to_be_visible()


def test_broken_picture_is_told_in_words_and_the_item_is_posted(visit: Callable[..., Page], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    content = io.BytesIO()
    Image.new("RGB", (64, 64)).save(content, "PNG")
    broken.write_bytes(content.getvalue()[:50])
    page = visit()
    post(page, "Lamp with half a picture", broken)
    expect(page.locator("#post-result .note")).to_contain_text("The picture could not be used")


def test_recommends_to_a_known_user(visit: Callable[..., Page]) -> None:
    page = visit(view="#try")
    page.locator("#user-chips button").nth(1).click()
    expect(page.locator(".answer")).to_contain_text(re.compile(r"Answered from history in \d+ ms"))
    assert page.locator(".ranked li").count() > 3
    expect(page.locator(".ranked .badge").first).to_have_text(re.compile("cold|warm"))


def test_recommends_for_clicked_items(visit: Callable[..., Page]) -> None:
    page = visit(view="#try")
    expect(page.locator(".pick").first).not_to_be_visible()
    page.get_by_role("radio", name="Clicked items").check(force=True)
    page.locator(".pick").nth(0).click()
    page.locator(".pick").nth(2).click()
    expect(page.locator("#picked .chip")).to_have_count(2)
    page.locator("#picked .remove").first.click()
    expect(page.locator(".pick[aria-pressed=true]")).to_have_count(1)
    ask(page)
    expect(page.locator(".answer")).to_contain_text("Answered from clicks")


def test_recommends_for_a_sentence_and_marks_what_was_posted(visit: Callable[..., Page], picture: Path) -> None:
    page = visit()
    post(page, "Marzipan submarine periscope", picture)
    page.get_by_role("link", name="Try a user").click()
    page.get_by_role("radio", name="A sentence").check(force=True)
    page.get_by_label("What they would like").fill("A marzipan submarine periscope")
    ask(page)
    expect(page.locator(".answer")).to_contain_text("Answered from preferences")
    expect(page.locator(".ranked li.yours")).to_contain_text("Marzipan submarine periscope")


def test_what_is_missing_or_refused_is_said_in_sentences(visit: Callable[..., Page]) -> None:
    page = visit(expected="status of 422")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#post-problem")).to_contain_text("The item needs a title")
    expect(page.get_by_label("Title", exact=True)).to_be_focused()
    expect(page.locator("[aria-invalid=true]")).to_have_count(1)
    page.get_by_label("Title", exact=True).fill("\x07")  # nothing to the service, something to the page
    expect(page.locator("[aria-invalid=true]")).to_have_count(0)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#post-problem")).to_have_text(re.compile(r"Invalid input.*printable character\. \w.*\."))
    page.get_by_role("link", name="Try a user").click()
    page.get_by_label("User id").fill("nobody at all")
    ask(page)
    expect(page.locator(".answer")).to_contain_text("Nothing is known of this user")
    page.get_by_role("radio", name="A sentence").check(force=True)
    page.get_by_role("button", name="Recommend", exact=True).click()
    expect(page.locator("#try-problem")).to_contain_text("What would they like?")
    expect(page.locator(".answer")).to_have_count(0)


def test_service_that_is_gone_is_told_so(visit: Callable[..., Page]) -> None:
    page = visit()
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('Failed to fetch')) }")
    page.get_by_label("Title", exact=True).fill("Lamp")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#post-problem")).to_contain_text("The service did not answer")
    expect(page.get_by_label("Title", exact=True)).to_have_value("Lamp")


def test_posting_and_trying_need_no_pointer(visit: Callable[..., Page]) -> None:
    page = visit()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the catalogue")).to_be_focused()
    press_until(page, "Tab", "#nav-post")
    page.keyboard.press("Enter")
    expect(page.locator("#post-title")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("Lamp from the keyboard")
    page.keyboard.press("Tab")
    page.keyboard.type("Typed, not clicked.")
    press_until(page, "Tab", "#attributes .pair:first-child [aria-label='Attribute value']")
    page.keyboard.type("lamp")
    press_until(page, "Tab", "#post-submit")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#post-result .headline")).to_be_visible()
    expect(page.locator("#post-submit")).to_be_focused()
    press_until(page, "Shift+Tab", "#nav-try", limit=400)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.type("a lamp from the keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".ranked li.yours")).to_contain_text("Lamp from the keyboard")


def press_until(page: Page, key: str, selector: str, *, limit: int = 60) -> None:
    """Press a key until the element has the focus."""
    for _ in range(limit):
        page.keyboard.press(key)
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{key} does not reach {selector}")


def test_nothing_that_an_item_says_is_run(visit: Callable[..., Page], http: httpx.Client, picture: Path) -> None:
    page = visit(view="#post")
    page.get_by_label("Attribute name").first.fill(NASTY)
    page.get_by_label("Attribute value").first.fill(NASTY)
    page.locator("#post-text").fill(NASTY)
    page.get_by_label("Title", exact=True).fill(NASTY)
    page.locator("#post-id").fill(NASTY)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#post-result .arrived b")).to_have_text(NASTY)
    card = page.locator("#grid .card-open").first
    expect(card).to_have_text(NASTY)
    card.click()
    expect(page.locator("#detail-title")).to_have_text(NASTY)
    expect(page.locator("#detail .prose")).to_have_text(NASTY)
    expect(page.locator("#detail .facts")).to_contain_text(NASTY)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Try a user").click()
    page.get_by_role("radio", name="Clicked items").check(force=True)
    page.locator(".pick").first.click()
    expect(page.locator("#picked .chip")).to_contain_text(NASTY)
    page.reload()
    expect(page.locator("#grid .card-open").first).to_have_text(NASTY)
    assert page.evaluate("window.ran") is None
    assert page.locator("body script, body img[src=x], [onerror]").count() == 0


PAYLOADS = [
    "<script>window.ran=1</script>",
    "<ScRiPt>window.ran=1</sCrIpT>",
    "<script src=//127.0.0.1:1/x.js></script>",
    "<scr<script>ipt>window.ran=1</scr</script>ipt>",
    "</title><script>window.ran=1</script>",
    "</textarea><script>window.ran=1</script>",
    "</template><script>window.ran=1</script>",
    "--><script>window.ran=1</script><!--",
    "]]><script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    "<img/src='x'/onerror='window.ran=1'>",
    "<img src=`x` onerror=window.ran=1>",
    '"><img src=x onerror=window.ran=1>',
    "'><img src=x onerror=window.ran=1>",
    "<image src=x onerror=window.ran=1>",
    "<svg onload=window.ran=1>",
    "<svg><script>window.ran=1</script></svg>",
    "<svg><animate onbegin=window.ran=1 attributeName=x dur=1s>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=window.ran=1>#x'/></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.ran=1>",
    "<body onload=window.ran=1>",
    "<iframe src=javascript:window.parent.ran=1></iframe>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "<object data=javascript:window.ran=1></object>",
    "<embed src=javascript:window.ran=1>",
    "<base href=//127.0.0.1:1/>",
    "<meta http-equiv=refresh content='0;url=javascript:window.ran=1'>",
    "<link rel=stylesheet href=//127.0.0.1:1/x.css>",
    "<style>@import '//127.0.0.1:1/x.css';*{color:red}</style>",
    "<div style='background:url(//127.0.0.1:1/x)'>x</div>",
    "<a href=javascript:window.ran=1>x</a>",
    "javascript:window.ran=1",
    "data:text/html,<script>window.ran=1</script>",
    "<form action=javascript:window.ran=1><button autofocus>x</button></form>",
    "<input autofocus onfocus=window.ran=1>",
    "<details open ontoggle=window.ran=1>x</details>",
    "<video><source onerror=window.ran=1></video>",
    "<audio src=x onerror=window.ran=1></audio>",
    "<marquee onstart=window.ran=1>x</marquee>",
    "<x contenteditable onfocus=window.ran=1 tabindex=1 id=x>x</x>",
    "<noscript><p title='</noscript><img src=x onerror=window.ran=1>'>",
    "<img src=x onerror=&#119;indow.ran=1>",
    "&lt;script&gt;window.ran=1&lt;/script&gt;",
    "\\u003cscript\\u003ewindow.ran=1\\u003c/script\\u003e",
    "＜script＞window.ran=1＜/script＞",
    "\u202e>tpircs/<1=nar.wodniw>tpircs<",
    "{{constructor.constructor('window.ran=1')()}}",
    "${window.ran=1}",
    "<%= window.ran=1 %>",
    "';window.ran=1;//",
    '";window.ran=1;//',
    "__proto__",
    "constructor",
]


def test_no_payload_is_run_wherever_it_stands(visit: Callable[..., Page], http: httpx.Client) -> None:
    items = [
        {
            "item_id": f"{payload} {n}",
            "title": payload,
            "text": payload,
            "attributes": {payload: payload, "tags": [payload]},
        }
        for n, payload in enumerate(PAYLOADS)
    ]
    assert len(items) >= 50
    assert http.post("/items/batch", json={"items": items}).json()["accepted"] == len(items)
    for item in items:
        follow(http, quote(str(item["item_id"]), safe=""), "retrievable")
    page = visit()
    page.get_by_role("button", name="Load more").click()
    expect(page.locator("#grid .card").nth(len(items))).to_be_attached()
    shown = page.locator("#grid .card-open").all_text_contents()
    for payload in PAYLOADS:
        assert any(payload in title for title in shown), payload
    for card in page.locator("#grid .card-open").all()[: len(items)]:
        card.click()
        expect(page.locator("#detail .facts")).to_be_visible()
        page.keyboard.press("Escape")
    assert page.evaluate("window.ran") is None
    inside = "#grid, #detail"
    strange = page.locator(inside).locator(
        "script, iframe, object, embed, form, style, link, base, svg, math, [onerror]"
    )
    assert strange.count() == 0


def test_browser_refuses_markup_and_foreign_code(visit: Callable[..., Page]) -> None:
    """The second line of defence, should a later change hand text to the parser."""
    page = visit(expected="Trusted(HTML|ScriptURL|Script)")
    tried = page.evaluate(
        """() => [
            () => { document.body.innerHTML = '<b>x</b>' },
            () => { document.createElement('script').src = '/static/app.js' },
            () => { document.createElement('script').text = '1' },
        ].map(attempt => { try { attempt(); return 'done' } catch (error) { return error.name } })"""
    )
    assert tried == ["TypeError", "TypeError", "TypeError"]


def test_load_more_goes_on_where_the_page_ended(visit: Callable[..., Page], http: httpx.Client) -> None:
    items = [{"item_id": f"shelf-{n}", "title": f"Shelf {n}"} for n in range(60)]
    assert http.post("/items/batch", json={"items": items}).json()["accepted"] == len(items)
    page = visit()
    more = page.get_by_role("button", name="Load more")
    expect(more).to_be_visible()
    before = page.locator("#grid .card").count()
    more.click()
    expect(page.locator("#grid .card")).not_to_have_count(before)
    expect(page.locator("#grid .card-open").nth(before)).to_be_focused()
    shown = page.locator("#grid .card").evaluate_all("cards => cards.map(card => card.dataset.id)")
    assert {item["item_id"] for item in items} <= set(shown)
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_follows_the_system_scheme(
    visit: Callable[..., Page], scheme: Literal["light", "dark"], tmp_path: Path
) -> None:
    page = visit(scheme=scheme)
    for selector in ("body", "#post", ".card", "#post-name"):
        luminance = page.locator(selector).first.evaluate(
            "node => getComputedStyle(node).backgroundColor.match(/[0-9.]+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
        )
        assert (luminance > 600) == (scheme == "light"), selector
    shot = Image.open(io.BytesIO(page.screenshot(path=tmp_path / f"{scheme}.png")))
    assert len(shot.convert("RGB").resize((64, 40)).getcolors(64 * 40) or []) > 20


def test_nothing_is_wider_than_a_small_screen(visit: Callable[..., Page], picture: Path, http: httpx.Client) -> None:
    long = "w" * 120
    page = visit(viewport=NARROW, view="#post")
    post(page, long, picture, item_id=long)
    widths = {"posted": width(page)}
    page.get_by_role("link", name="Catalogue", exact=True).click()
    widths["catalogue"] = width(page)
    page.locator("#grid .card-open").first.click()
    expect(page.locator(".detail-similar .strip")).to_be_visible()
    widths["detail"] = page.locator("#detail").evaluate("node => node.scrollWidth - node.clientWidth + innerWidth")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Try a user").click()
    page.get_by_role("radio", name="Clicked items").check(force=True)
    page.get_by_role("link", name="Catalogue", exact=True).click()
    page.locator(".pick").first.click()
    page.locator("#pickbar").get_by_role("link", name="Recommend").click()
    ask(page)
    widths["answer"] = width(page)
    assert widths == dict.fromkeys(widths, NARROW["width"])


def width(page: Page) -> int:
    """How wide the page would like to be."""
    wanted: int = page.evaluate("document.documentElement.scrollWidth")
    return wanted


def test_a_key_is_asked_for_kept_by_the_tab_and_sent_with_everything(
    visit: Callable[..., Page], key: Callable[[Scope], dict[str, str]], picture: Path
) -> None:
    read, write = (key(scope)["Authorization"].removeprefix("Bearer ") for scope in (Scope.READ, Scope.WRITE))
    wrong = f"{read[:-4]}0000"
    page = visit(expected="401|403", keys=(wrong, read))
    expect(page.locator("#figure-retrievable")).to_have_text(re.compile(r"^[\d,]+$"))
    expect(page.locator("#grid .picture canvas").first).to_be_visible()
    page.wait_for_function("document.querySelector('#grid .picture canvas').width === 480")
    page.get_by_label("Title", exact=True).fill("Not with this key")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#post-problem")).to_contain_text("needs write")
    page.reload()
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_attached()
    expect(page.get_by_role("dialog")).to_have_count(0)
    post(visit(expected="401", keys=(write,)), "With a key that may", picture)


def test_whoever_gives_no_key_is_told_and_can_be_asked_again(
    visit: Callable[..., Page], key: Callable[[Scope], dict[str, str]]
) -> None:
    token = key(Scope.READ)["Authorization"].removeprefix("Bearer ")
    page = visit(expected="401", keys=(token,))
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.get_by_role("dialog", name="This service asks for an API key")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#catalogue-problem")).to_contain_text("needs an API key")
    page.get_by_role("button", name="Load more").click()
    page.get_by_label("API key", exact=True).fill(token)
    page.keyboard.press("Enter")
    expect(page.locator("#grid .card:not(.skeleton)").first).to_be_attached()
    expect(page.locator("#catalogue-problem")).to_be_empty()


@pytest.mark.skipif(not AXE, reason="COLDSTART_TEST_AXE does not name an axe.min.js (npm install axe-core)")
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(
    visit: Callable[..., Page], picture: Path, viewport: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    page = visit(viewport=viewport, scheme=scheme, view="#post")
    page.evaluate(f"{Path(AXE).read_text()};0")
    post(page, "Lamp for everyone", picture)
    found = {"post": violations(page)}
    page.get_by_role("link", name="Try a user").click()
    page.locator("#user-chips button").first.click()
    expect(page.locator(".ranked li").first).to_be_visible()
    found["try"] = violations(page)
    page.locator(".ranked .card-open").first.click()
    expect(page.locator(".detail-similar .strip")).to_be_visible()
    found["detail"] = violations(page)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Skip to the catalogue").press("Enter")
    found["catalogue"] = violations(page)
    assert found == {part: [] for part in found}


def violations(page: Page) -> list[str]:
    """What axe-core objects to."""
    found: list[str] = page.evaluate(
        "axe.run().then(({violations}) => violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.target}`)))"
    )
    return found
