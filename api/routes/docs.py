"""A reference of the interface that needs no script and no network: the OpenAPI document as a page."""

import base64
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment
from markupsafe import Markup, escape

from api.access import GuardedRoute, public

router = APIRouter(include_in_schema=False, route_class=GuardedRoute)

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; overflow-wrap: anywhere; }
h2 { margin-top: 3rem; text-transform: capitalize; }
h3 { margin: 0; font-size: 1rem; }
article { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: 1rem 0; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; }
h3 code { font-weight: 700; margin-right: .75rem; }
pre { overflow-x: auto; padding: .75rem; background: color-mix(in srgb, currentColor 7%, transparent); }
th, td { text-align: left; vertical-align: top; padding: .15rem 1.25rem .15rem 0; font-weight: normal; }
.quiet { opacity: .75; }
"""

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>coldstart: HTTP interface</title><style>{{ style|safe }}</style></head>
<body>
<h1>coldstart: HTTP interface</h1>
{% for paragraph in info.description.split("\n\n") %}<p>{{ paragraph|prose }}</p>{% endfor %}
<p>Version {{ info.version }}. For programs: <a href="openapi.json">openapi.json</a>.</p>
{% macro table(rows) %}<table>{% for name, kind, text in rows %}
<tr><th scope="row"><code>{{ name }}</code></th><td class="quiet">{{ kind }}</td><td>{{ text|prose }}</td></tr>
{% endfor %}</table>{% endmacro %}
<main>{% for tag, operations in groups.items() %}<h2>{{ tag }}</h2>{% for each in operations %}<article>
<h3><code>{{ each.method }} {{ each.path }}</code>{{ each.summary }}</h3>
<p>{{ each.description|prose }}</p>
{{ table(each.parameters) }}
{% for title, schema in each.schemas %}<details><summary>{{ title }}</summary>
{% if schema.example %}<pre>{{ schema.example }}</pre>{% endif %}{{ table(schema.fields) }}</details>{% endfor %}
{% if each.scope %}<p class="quiet">Scope of the key: {{ each.scope }}</p>{% endif %}
{% if each.problems %}<p class="quiet">Problems: {{ each.problems|join(", ") }}</p>{% endif %}
</article>{% endfor %}{% endfor %}</main>
</body>
</html>
"""

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {"Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'"}


def _prose(text: str) -> Markup:
    """Text with `code` in backticks.

    >>> str(_prose("`a` < b"))
    '<code>a</code> &lt; b'
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped before)


_environment = Environment(autoescape=True, trim_blocks=True)
_environment.filters["prose"] = _prose
_page = _environment.from_string(PAGE)


@router.get("/docs")
@public
async def reference(request: Request) -> HTMLResponse:
    """The page."""
    openapi = request.app.openapi()
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(_told(openapi, path, method, operation))
    return HTMLResponse(_page.render(style=STYLE, info=openapi["info"], groups=groups), headers=HEADERS)


@router.get("/openapi.json")
@public
async def openapi(request: Request) -> JSONResponse:
    """The document itself."""
    return JSONResponse(request.app.openapi())


def _told(openapi: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    answers = operation["responses"]
    return {
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": operation.get("description", ""),
        "scope": next((scope for each in operation.get("security", []) for scope in each["key"]), None),
        "parameters": [
            (each["name"], f"{each['in']}, {_kind(each['schema'])}", each.get("description", ""))
            for each in operation.get("parameters", [])
        ],
        "schemas": [
            *_schemas(openapi, "Body", operation.get("requestBody", {})),
            *(part for status, each in answers.items() for part in _schemas(openapi, f"Answer {status}", each)),
        ],
        "problems": [f"{status} {each['description']}" for status, each in answers.items() if int(status) >= 400],
    }


def _schemas(openapi: dict[str, Any], title: str, holder: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    reference = holder.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
    if reference is None:
        return
    name = reference.rpartition("/")[2]
    schema = openapi["components"]["schemas"][name]
    needed = schema.get("required", [])
    example = schema.get("example")
    yield (
        f"{title}: {name}",
        {
            "example": example and json.dumps(example, indent=2, ensure_ascii=False),
            "fields": [
                (field, _kind(about) + (", required" if field in needed else ""), about.get("description", ""))
                for field, about in schema["properties"].items()
            ],
        },
    )


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a word or two.

    >>> _kind({"anyOf": [{"type": "array", "items": {"$ref": "#/components/schemas/ItemView"}}, {"type": "null"}]})
    'list of ItemView or null'
    """
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_kind, schema["anyOf"])))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any value"))
