"""The ASGI application: what a request passes through, and what lives as long as the process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from anyio import to_thread
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from api import access, console, problems
from api.access import Guard
from api.dependencies import Service
from api.headers import SecurityHeaders
from api.keyring import Keyring
from api.limits import BodyCap
from api.metrics import RequestTiming, request_seconds
from api.paths import EncodedPath
from api.rates import open_buckets
from api.readiness import Readiness
from api.routes import (
    adapters,
    backfills,
    dead_letters,
    docs,
    events,
    experiments,
    health,
    items,
    recommendations,
    users,
)
from coldstart.catalog.keys import KeyStore
from coldstart.recommend import Request
from coldstart.settings import Settings
from workers.runtime import Runtime, open_runtime

DESCRIPTION = """\
Makes new items and new users recommendable at once, beside a frozen collaborative backbone.

`PUT /items/{item_id}` commits an item and answers 202; a moment later it is `retrievable` and in recommendations.
Every error is a problem document (RFC 9457) that says what to do. Percent-encode ids in addresses.
"""
SAMPLE_USERS = 24


def create_app(
    settings: Settings,
    runtime: Runtime | None = None,
    *,
    opening: Callable[[], AbstractContextManager[Runtime]] | None = None,
) -> FastAPI:
    """The application on these settings. It opens the runtime when it starts, unless given one that is open.

    ``opening`` is how, where it is not `open_runtime` alone.
    """

    seconds = request_seconds()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            opened = runtime or await _opened(stack, opening() if opening else open_runtime(settings))
            app.state.service = Service.of(opened)
            app.state.guard = Guard(
                await _keyring(stack, settings), await stack.enter_async_context(open_buckets(settings))
            )
            app.state.sample_users = list(opened.adapter.backbone.users.ids[:SAMPLE_USERS])
            opened.telemetry.registry.register(seconds)
            warming = asyncio.create_task(app.state.readiness.warm_up(opened.warm_up, lambda: _first_list(opened)))
            stack.callback(warming.cancel)
            yield

    app = FastAPI(
        title="coldstart",
        summary="Time to recommendable, in milliseconds",
        description=DESCRIPTION,
        version=_version(),
        openapi_url=None,  # `docs` has it
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.readiness = Readiness()
    problems.install(app)
    access.document(app)
    for module in (
        recommendations, items, users, events, experiments, adapters, backfills, dead_letters, health, docs, console,
    ):  # fmt: skip
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=console.STATIC), name="static")
    # The last one added is the first to see a request.
    app.add_middleware(EncodedPath)
    app.add_middleware(RequestTiming, seconds=seconds)
    app.add_middleware(BodyCap, max_bytes=settings.max_body_bytes)
    app.add_middleware(SecurityHeaders)
    return app


async def _opened(stack: AsyncExitStack, context: AbstractContextManager[Runtime]) -> Runtime:
    """A runtime that is closed with the stack; both take threads, as they wait for the worker's."""
    runtime = await to_thread.run_sync(context.__enter__)

    async def close() -> None:
        await to_thread.run_sync(context.__exit__, None, None, None)

    stack.push_async_callback(close)
    return runtime


async def _keyring(stack: AsyncExitStack, settings: Settings) -> Keyring | None:
    """The keys, followed until the stack is closed; ``None`` where they are not to be asked for."""
    if not settings.require_keys:
        return None
    store = await to_thread.run_sync(KeyStore, settings.catalog_url)
    stack.callback(store.close)
    keyring = Keyring(store.list_keys)
    await to_thread.run_sync(keyring.refresh)
    stack.callback(asyncio.create_task(keyring.follow()).cancel)
    return keyring


def _first_list(runtime: Runtime) -> None:
    runtime.recommender.recommend(Request(preferences="warm up", limit=1))


def _version() -> str:
    try:
        return version("coldstart-service")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unreleased"
