"""From a request's item to what the store accepts."""

import base64
import binascii
from typing import Any

from pydantic import ValidationError

from api.problems import field_problems, invalid, problem_of
from api.schemas.answers import BatchAnswer
from api.schemas.requests import BatchItem, ItemBody
from coldstart.catalog import Accepted, Draft, Once
from coldstart.entities import ExternalId, Item
from coldstart.errors import ColdstartError, InvalidInput
from workers.runtime import Runtime

MAX_ADDRESS_CHARS = 2048


def draft_of(item_id: ExternalId, body: ItemBody, *, max_image_bytes: int) -> Draft:
    """The item with its picture's bytes where the body brought them.

    Whether the bytes are a picture is found out when they are decoded: a broken one is a remark on the item, which goes
    on by its text. `InvalidInput` only for what cannot be bytes or an address at all, or is too large.
    """
    address, picture = body.image, None
    if address is not None:
        if address[:5].lower() == "data:":
            picture, address = _picture(address, max_image_bytes), None
        elif not address.lower().startswith(("http://", "https://")) or len(address) > MAX_ADDRESS_CHARS:
            raise InvalidInput(
                f"image is neither a data: URL nor an http(s) address of at most {MAX_ADDRESS_CHARS} characters",
                subject=item_id, remedy="Send data:image/png;base64,... or https://...",
            )  # fmt: skip
    item = Item(item_id, body.title, body.text, address, body.attributes, body.published_at, body.expires_at)
    return Draft(item, picture, body.source_version)


def _picture(url: str, max_bytes: int) -> bytes:
    header, comma, payload = url.partition(",")
    if not comma or not header.lower().endswith(";base64"):
        raise InvalidInput("image is a data: URL without ;base64,", subject=header[:100], remedy="Encode it as base64")
    if len(payload) // 4 * 3 > max_bytes + 2:
        raise InvalidInput(f"image is over {max_bytes} bytes", subject=header[:100], remedy="Send a smaller picture")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"image is not base64: {error}", subject=header[:100], remedy="Encode it again") from None


def accept(runtime: Runtime, item_id: ExternalId, body: ItemBody, once: Once | None = None) -> Accepted:
    """Commit one item."""
    draft = draft_of(item_id, body, max_image_bytes=runtime.settings.max_image_bytes)
    answer = runtime.store.accept([draft], once=once)[0]
    if not isinstance(answer, Accepted):
        raise answer
    runtime.wake()
    return answer


def accept_batch(runtime: Runtime, raw_items: list[Any], once: Once | None = None) -> list[BatchAnswer]:
    """Commit what can be accepted, in one transaction; an answer for each item in the order given."""
    drafts = [_read(raw, runtime.settings.max_image_bytes) for raw in raw_items]
    accepted = iter(runtime.store.accept([draft for draft in drafts if isinstance(draft, Draft)], once=once))
    runtime.wake()
    return [_answer(draft.item.item_id, next(accepted)) if isinstance(draft, Draft) else draft for draft in drafts]


def _read(raw: Any, max_image_bytes: int) -> Draft | BatchAnswer:
    item_id = raw.get("item_id") if isinstance(raw, dict) else None
    item_id = item_id if isinstance(item_id, str) else None
    try:
        item = BatchItem.model_validate(raw)
        return draft_of(item.item_id, item, max_image_bytes=max_image_bytes)
    except ValidationError as error:
        problem = invalid(field_problems(list(error.errors(include_input=False, include_url=False))))
    except InvalidInput as error:
        problem = problem_of(error)
    return BatchAnswer(
        item_id=item_id, status=problem.status, detail=problem.detail, remedy=problem.remedy, errors=problem.errors
    )


def _answer(item_id: ExternalId, outcome: Accepted | ColdstartError) -> BatchAnswer:
    if isinstance(outcome, Accepted):
        return BatchAnswer(item_id=item_id, status=202, version=outcome.version)
    return BatchAnswer(item_id=item_id, status=outcome.status, detail=outcome.what, remedy=outcome.remedy)
