"""Every error as a problem document (RFC 9457): what happened, where, and what to do."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from coldstart.bodies import MAX_FIELDS
from coldstart.errors import ColdstartError, Forbidden, Unauthorized

MEDIA_TYPE = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
TOO_LARGE_REMEDY = "Send fewer items or a smaller picture"
BUSY_REMEDY = "Try again after the time in Retry-After, or send fewer items at once"


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Where: `body.items.3.title`, `query.limit`, `path.item_id`")
    cause: str
    remedy: str | None = None


class Problem(BaseModel):
    """A problem document."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:coldstart:not-found",
                "title": "Not found",
                "status": 404,
                "detail": "the item is unknown",
                "subject": "sku-404",
            }
        }
    )

    type: str = Field(description="Names the kind of problem, for programs")
    title: str
    status: int
    detail: str
    subject: str | None = Field(default=None, description="The id, file or setting that it happened to")
    remedy: str | None = Field(default=None, description="What to do about it")
    errors: list[FieldProblem] | None = Field(default=None, description="Field by field, where the request is invalid")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's entries for the problems that a route may answer with."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    later = {"Retry-After": {"description": "Seconds until it is worth trying again", "schema": {"type": "integer"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}}
        | ({"headers": later} if status in (429, 503) else {})
        for status in statuses
    }


def problem_of(error: ColdstartError) -> Problem:
    """Our error as a problem document.

    >>> from coldstart.errors import NotFound
    >>> problem_of(NotFound("the item is unknown", subject="sku-1")).model_dump(exclude_none=True)["type"]
    'urn:coldstart:not-found'
    """
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
    return Problem(
        type=f"urn:coldstart:{kind}",
        title=error.title,
        status=error.status,
        detail=error.what,
        subject=error.subject,
        remedy=error.remedy,
    )


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that carries the document."""
    body = orjson.dumps(problem.model_dump(exclude_none=True))
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def http_problem(status: int, detail: str, remedy: str | None = None) -> Problem:
    """A problem that HTTP itself has a name for."""
    # Python's own phrases changed between versions, and programs compare the type.
    title = "Too large" if status == 413 else HTTPStatus(status).phrase.capitalize()
    kind = title.lower().replace(" ", "-")
    return Problem(type=f"urn:coldstart:{kind}", title=title, status=status, detail=detail, remedy=remedy)


def field_problems(errors: list[Any]) -> list[FieldProblem]:
    """What pydantic found, field by field, without repeating the values it was given.

    >>> field_problems([{"loc": ("body", "limit"), "msg": "Input should be a valid integer", "type": "int_type"}])
    [FieldProblem(field='body.limit', cause='should be a valid integer', remedy=None)]
    """
    return [
        FieldProblem(
            field=_field(error),
            cause=_cause(error),
            remedy=_remedy(error),
        )
        for error in errors[:MAX_FIELDS]
    ]


def invalid(fields: list[FieldProblem]) -> Problem:
    """The document for a request, or a part of one, that cannot be accepted as it is."""
    first, more = fields[0], len(fields) - 1
    return Problem(
        type="urn:coldstart:invalid-input",
        title="Invalid input",
        status=422,
        detail=f"{first.field}: {first.cause}" + (f" (and {more} more)" if more else ""),
        remedy=first.remedy,
        errors=fields,
    )


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document."""
    app.exception_handler(ColdstartError)(_on_ours)
    app.exception_handler(RequestValidationError)(_on_invalid)
    app.exception_handler(HTTPException)(_on_http)
    app.exception_handler(Exception)(_on_unforeseen)
    _document(app)


def _document(app: FastAPI) -> None:
    """Put the schema that `documented` refers to into the OpenAPI document."""
    openapi = app.openapi

    def with_problem() -> dict[str, Any]:
        document = openapi()
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= problem.pop("$defs") | {"Problem": problem}
        return document

    app.openapi = with_problem  # type: ignore[method-assign]


def _field(error: Mapping[str, Any]) -> str:
    # Of a body that is not JSON, FastAPI tells the position in the place of a field.
    place = error["loc"][:1] if error["type"] == "json_invalid" else error["loc"]
    return ".".join(str(part) for part in place if part != "[key]") or "item"


def _cause(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return f"is not JSON at character {error['loc'][1]}: {error['ctx']['error']}"
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "extra_forbidden":
        return "is unknown"
    if error["type"] in ("dict_type", "model_attributes_type", "model_type"):
        return "should be an object"
    return re.sub("^(Value error, |(Input|String|List|Dictionary) (?=should ))", "", str(error["msg"]))


def _remedy(error: Mapping[str, Any]) -> str | None:
    if error["type"] == "json_invalid":
        return "Send JSON, which has neither NaN nor infinite numbers"
    remedy: str | None = error.get("ctx", {}).get("remedy")
    return remedy


def _headers_of(error: ColdstartError) -> dict[str, str]:
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    match error:
        case Unauthorized():
            headers["WWW-Authenticate"] = 'Bearer realm="coldstart"'
        case Forbidden():
            headers["WWW-Authenticate"] = 'Bearer realm="coldstart", error="insufficient_scope"'
    return headers


async def _on_ours(_: Request, error: ColdstartError) -> Response:
    return problem_response(problem_of(error), _headers_of(error))


async def _on_invalid(_: Request, error: RequestValidationError) -> Response:
    return problem_response(invalid(field_problems(list(error.errors()))))


async def _on_http(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            problem = http_problem(404, "there is nothing at this address", "See /docs for the addresses there are")
        case 405:
            headers["Allow"] = ", ".join(allowed := _allowed(request))
            problem = http_problem(405, f"{request.method} is not possible here", f"Use {' or '.join(allowed)}")
        case 413:
            problem = http_problem(413, str(error.detail), TOO_LARGE_REMEDY)
        case 503:
            problem = http_problem(503, str(error.detail), BUSY_REMEDY)
        case status:
            problem = http_problem(status, str(error.detail))
    return problem_response(problem, headers)


async def _on_unforeseen(_: Request, error: Exception) -> Response:
    """Nothing of the error is told: its text may quote secrets. The log has it."""
    from api.headers import SECURITY  # this answer is made outside the middleware that adds them

    problem = http_problem(500, "an error that nobody foresaw", "Try again; the service's log has the details")
    return problem_response(problem, SECURITY)


def _allowed(request: Request) -> list[str]:
    """Every method that the address takes; a router by itself knows those of one route."""
    return [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.router.routes
        )
    ]
