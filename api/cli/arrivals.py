"""Posts items to a running service, one after the other, and measures when each is retrievable."""

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np

from coldstart.dataset import Dataset
from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.media import read_picture, sniff_media_type
from coldstart.errors import InvalidInput, Unavailable
from coldstart.vectors import Rows

PATIENCE_S = 30.0
_POLL_S = 0.003


@dataclass
class Posted:
    """What became of the items: ids that are retrievable, and those that are not, with the reason; TTR in ms."""

    retrievable: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    without_picture: list[str] = field(default_factory=list)
    ttr_ms: list[float] = field(default_factory=list)

    def percentile(self, q: float) -> float:
        """Of the times from accepted to retrievable, in ms; NaN without any."""
        return float(np.percentile(self.ttr_ms, q)) if self.ttr_ms else float("nan")


def item_body(dataset: Dataset, row: int) -> dict[str, object]:
    """The JSON body of an item, its picture as a ``data:`` URL."""
    item = dataset.items.item(row)
    body: dict[str, object] = {"title": item.title, "text": item.text, "attributes": dict(item.attributes)}
    if item.image is not None:
        try:
            picture = read_picture(item.image, root=dataset.root, fetcher=Fetcher())
        except InvalidInput:
            return body
        kind = sniff_media_type(picture) or "application/octet-stream"
        body["image"] = f"data:{kind};base64,{base64.b64encode(picture).decode()}"
    return body


def post_items(
    client: httpx.Client, dataset: Dataset, rows: Rows, *, on_progress: Callable[[int], None] = lambda _: None
) -> Posted:
    """Put each item and wait until it is retrievable (or dead) before the next."""
    posted = Posted()
    for number, row in enumerate(rows, start=1):
        item_id = dataset.items.ids.ids[int(row)]
        client.put(f"/items/{quote(item_id, safe='')}", json=item_body(dataset, int(row))).raise_for_status()
        view = wait_until_settled(client, item_id)
        if view["status"] == "retrievable":
            posted.retrievable.append(item_id)
            posted.ttr_ms.append(view["since_accepted_ms"]["retrievable"])
            if view["picture_error"]:
                posted.without_picture.append(item_id)
        else:
            posted.failed[item_id] = str(view["error"] or view["status"])
        on_progress(number)
    return posted


def wait_until_settled(client: httpx.Client, item_id: str) -> dict[str, Any]:
    """The item's view once it is neither pending nor being encoded, or when patience is over."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        view = client.get(f"/items/{quote(item_id, safe='')}").raise_for_status().json()
        if view["status"] not in ("pending", "encoding") or time.monotonic() > deadline:
            return dict(view)
        time.sleep(_POLL_S)


def wait_until_ready(client: httpx.Client, *, patience_s: float, alive: Callable[[], bool] = lambda: True) -> None:
    """Return when the service has really encoded and queried; `Unavailable` where that does not happen in time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and alive():
        try:
            if client.get("/health/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise Unavailable("the service did not become ready", subject=str(client.base_url), remedy="Read its log above")


def lists_of(
    client: httpx.Client, user_ids: Sequence[str], *, limit: int, only_cold: bool = False
) -> dict[str, list[str]]:
    """The recommended item ids of each user."""
    body = {"limit": limit, "explain": False, **({"filter": {"cold": True}} if only_cold else {})}
    lists = {}
    for user_id in user_ids:
        answer = client.post("/recommendations", json={**body, "user_id": user_id}).raise_for_status().json()
        lists[user_id] = [row["item_id"] for row in answer["rows"]]
    return lists
