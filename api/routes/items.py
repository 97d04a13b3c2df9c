"""Items: accepted with PUT, recommendable a moment later."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.access import GuardedRoute, needs
from api.dependencies import ListLimit, PageLimit, PageOffset, ServiceDep
from api.idempotency import OnceDep
from api.intake import accept, accept_batch
from api.paths import ItemId
from api.problems import documented
from api.schemas import lists
from api.schemas.answers import AcceptedView, BatchView, ItemsView, ItemView, SimilarView
from api.schemas.requests import BatchBody, ItemBody
from coldstart.access import Scope
from coldstart.catalog import Status
from coldstart.encoders.media import sniff_media_type
from coldstart.entities import ExternalId
from coldstart.errors import NotFound
from workers.runtime import Runtime

router = APIRouter(prefix="/items", tags=["items"], route_class=GuardedRoute)


@router.put(
    "/{item_id:id}", status_code=202, summary="Accept an item", responses=documented(409, 413, 415, 422, 429, 503)
)
@needs(Scope.WRITE)
async def put_item(item_id: ItemId, body: ItemBody, service: ServiceDep, once: OnceDep) -> AcceptedView:
    """Committed when answered. It takes the place of what was sent before, and is retrievable within moments.

    429: more items wait already than may, and this one was left as it is.
    """
    with service.runtime.backlog.room_for(1):
        return AcceptedView.of(await service.writes.run(accept, service.runtime, item_id, body, once))


@router.post(
    "/batch", status_code=207, summary="Accept up to 1,000 items", responses=documented(409, 413, 415, 422, 429, 503)
)
@needs(Scope.WRITE)
async def put_batch(body: BatchBody, service: ServiceDep, once: OnceDep) -> BatchView:
    """Each item is accepted or refused by itself: look at every answer. What is accepted is committed.

    429: with all of them more items would wait than may, and none was accepted.
    """
    with service.runtime.backlog.room_for(len(body.items)):
        answers = await service.writes.run(accept_batch, service.runtime, list(body.items), once)
    accepted = sum(answer.status == 202 for answer in answers)
    return BatchView(accepted=accepted, refused=len(answers) - accepted, answers=answers)


@router.get("", summary="List items, last accepted first", responses=documented(422, 503))
@needs(Scope.READ)
async def list_items(
    service: ServiceDep,
    limit: PageLimit = 48,
    offset: PageOffset = 0,
    status: Annotated[Status | None, Query(description="Only items that stand here")] = None,
) -> ItemsView:
    """Deleted items are listed too: they keep their versions."""
    records = await service.reads.run(service.runtime.store.list_items, limit=limit, offset=offset, status=status)
    return ItemsView(items=[ItemView.of(record) for record in records])


@router.get(
    "/{item_id:id}/similar",
    summary="Items like this one",
    response_model=SimilarView,
    responses=documented(404, 422, 503),
)
@needs(Scope.READ)
async def similar(item_id: ItemId, service: ServiceDep, limit: ListLimit = 20) -> Response:
    """By the cosine of their served vectors: alike in content and, for warm items, in who clicks them."""
    rows, version = await service.lists.run(service.runtime.similar, item_id, limit)
    return lists.similar(rows, version)


@router.get(
    "/{item_id:id}/image",
    summary="The stored picture",
    response_class=Response,
    responses={200: {"content": {"image/*": {}}}, 304: {}, **documented(404, 422, 503)},
)
@needs(Scope.READ)
async def image(
    request: Request,
    item_id: ItemId,
    service: ServiceDep,
    v: Annotated[str | None, Query(description="The item's version, for an answer that may be cached for good")] = None,
) -> Response:
    """The bytes as they were sent; `ETag` is their SHA-256."""
    content, sha256, version = await service.reads.run(_picture, service.runtime, item_id)
    headers = {
        "ETag": f'"{sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable" if v == str(version) else "private, no-cache",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=sniff_media_type(content), headers=headers)


@router.get("/{item_id:id}", summary="Where an item stands", responses=documented(404, 422, 503))
@needs(Scope.READ)
async def get_item(item_id: ItemId, service: ServiceDep) -> ItemView:
    """Its status, the time of each step, and what its vector was made of."""
    return ItemView.of(await service.reads.run(service.runtime.store.get, item_id))


@router.delete("/{item_id:id}", status_code=202, summary="Delete an item", responses=documented(404, 409, 422, 503))
@needs(Scope.WRITE)
async def delete_item(item_id: ItemId, service: ServiceDep, once: OnceDep) -> AcceptedView:
    """Committed when answered; gone from recommendations within moments, whatever was still on its way.

    It is accepted however many items wait.
    """
    accepted = await service.deletes.run(service.runtime.store.delete, item_id, once=once)
    service.runtime.wake_index()
    return AcceptedView.of(accepted)


def _picture(runtime: Runtime, item_id: ExternalId) -> tuple[bytes, str, int]:
    record, content = runtime.store.get(item_id), runtime.store.picture(item_id)
    if content is None or record.picture_sha256 is None:
        raise NotFound("the item has no stored picture", subject=item_id)
    if sniff_media_type(content) is None:
        raise NotFound("what was sent as a picture is none", subject=item_id, remedy="Send the item again")
    return content, record.picture_sha256, record.version
