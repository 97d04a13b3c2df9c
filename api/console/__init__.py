"""The page at ``/``: the catalogue, a form to post an item, and a user to try. Plain modules over the HTTP interface.

Nothing on it comes from elsewhere, and nothing a catalogue says is ever parsed as markup: titles become text nodes, and
the policy below forbids inline scripts and, through trusted types, every way to turn text into elements.
"""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from api.access import GuardedRoute, public

STATIC = Path(__file__).with_name("static")
"""To be served under ``/static``."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False, route_class=GuardedRoute)
_templates = Jinja2Templates(Path(__file__).with_name("templates"))
_modules = sorted(path.name for path in STATIC.glob("*.js"))


@router.get("/")
@public
async def page(request: Request) -> HTMLResponse:
    """The page itself: everybody gets it. What it shows is fetched by its modules, with a key where one is needed."""
    state = request.app.state
    users = [each for each in state.sample_users if not state.service.runtime.readers.is_erased(each)]
    context = {"modules": _modules, "users": users if state.guard.is_open else []}
    return _templates.TemplateResponse(request, "index.html", context, headers=HEADERS)
