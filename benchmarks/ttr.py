"""Time to recommendable and the time of a recommendation: a real service process over HTTP on loopback.

``python -m benchmarks.ttr [--quick]`` builds a catalogue of 20,000 warm items (--quick: 2,000) of random embeddings,
serves it, posts new items with a text of 60 words and a 224 px JPEG one after another, and asks for lists. TTR is the
service's own, from committed to searchable; every item is then also asked for. The floor (`benchmarks.encoders_alone`)
is taken beside it, with the service idle; last, items are posted while a backfill is loaded. Ends with one JSON line.
"""

import argparse
import base64
import io
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import httpx
import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_matrix

from adapters.artifact import EncoderName, save_artifact
from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.fit import fit
from adapters.serving import ServedAdapter
from api.cli.arrivals import wait_until_settled
from benchmarks import bulk, clients, encoders_alone, processes
from coldstart.backbones import FrozenBackbone
from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, open_image_encoder, open_text_encoder
from coldstart.ids import IdMap
from coldstart.index import open_index_store
from coldstart.settings import Settings
from coldstart.vectors import normalise

DIM, USERS, CLICKS_PER_USER = 64, 2000, 40
LIMIT, CROWD = 20, 32
LOAD_S = 120.0
BULK = 20
"""Items of a backfill for each that is posted beside it: more than are encoded meanwhile."""
WORDS = (
    "walnut linen brass lamp chair desk quiet warm small tall bright woven oiled forged folded painted kitchen garden "
    "studio travel winter summer evening morning pocket handle drawer cover stripe dot leaf stone river forest city"
).split()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer items and requests")
    quick = parser.parse_args().quick
    items, posts, requests = (2000, 60, 300) if quick else (20_000, 300, 1000)
    with tempfile.TemporaryDirectory(prefix="coldstart-benchmark-") as folder:
        build(Path(folder), items)
        built = time.perf_counter()
        with serving(Path(folder), items):
            start_s = time.perf_counter() - built
        connect(Path(folder))
        with serving(Path(folder), items) as service:
            report(service, Path(folder), items=items, posts=posts, requests=requests, start_s=start_s)


def build(folder: Path, items: int) -> None:
    """A catalogue, a backbone and a closed-form adapter whose embeddings are random: only their number matters here."""
    rng = np.random.default_rng(0)
    ids, users = [f"item-{n}" for n in range(items)], [f"user-{n}" for n in range(USERS)]
    rows = np.repeat(np.arange(USERS), CLICKS_PER_USER)
    columns = (items * rng.random(len(rows)) ** 2).astype(np.int64)
    clicks = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(USERS, items))
    clicks.data[:] = 1.0
    (folder / "data").mkdir()
    pl.DataFrame({"item_id": ids, "title": [sentence(rng, 4) for _ in ids]}).write_csv(folder / "data" / "items.csv")
    table = {"user_id": [users[row] for row in rows], "item_id": [ids[column] for column in columns]}
    pl.DataFrame(table).write_csv(folder / "data" / "interactions.csv")

    def random(n: int, d: int) -> NDArray[np.float32]:
        return normalise(rng.standard_normal((n, d), dtype=np.float32))

    backbone = FrozenBackbone("external", IdMap(users), IdMap(ids), random(USERS, DIM), random(items, DIM), clicks)
    backbone.save(folder / "backbone")
    cache = Settings().cache
    text, image = open_text_encoder(cache=cache), open_image_encoder(cache=cache)
    contents = Contents(random(items, text.dim), random(items, image.dim), np.ones((items, 2), dtype=np.bool_))
    save_artifact(
        fit(backbone, contents, config=AdapterConfig()),
        folder / "adapter",
        text=EncoderName(DEFAULT_TEXT_MODEL, text.fingerprint),
        image=EncoderName(DEFAULT_IMAGE_MODEL, image.fingerprint),
        backbone_dir=folder / "backbone",
        card="Random vectors for a benchmark.",
    )


@contextmanager
def serving(folder: Path, items: int) -> Iterator[processes.Service]:
    """The service in a process of its own, ready, with all items retrievable."""
    arguments = ["--data-dir", folder / "state", "--adapter", folder / "adapter", "--data", folder / "data"]
    with processes.service([str(each) for each in arguments], folder / "service.log") as service:
        service.wait_until(lambda: service.counts()["retrievable"] == items, seconds=LOAD_S, what="the catalogue")
        yield service


def connect(folder: Path) -> None:
    """Build the search graph, which a service builds in its first minute: that would be measured with the rest."""
    with closing(open_index_store(root=folder / "state" / "index")) as indexes:
        adapter = ServedAdapter.load(folder / "adapter")
        indexes.create(adapter.version, adapter.dim).optimize()


def report(service: processes.Service, folder: Path, *, items: int, posts: int, requests: int, start_s: float) -> None:
    """Measure, print a table, then one line of JSON."""
    client = service.client
    rng = np.random.default_rng(1)
    post(client, rng, 5, "warm-up")
    put_ms, ttr_ms = post(client, rng, posts, "new")
    floor_ms = encoders_alone.timed(folder / "adapter", [item(rng) for _ in range(posts)])
    users = rng.integers(USERS, size=requests)
    rows = {
        "PUT answered 202": put_ms,
        "TTR, text and picture": ttr_ms,
        "floor of TTR: encoders and upsert alone": floor_ms,
        "list for a known user": timed(lambda n: client.get(f"/users/user-{users[n]}/recommendations"), requests),
        "list for 5 clicked items": timed(
            lambda n: client.post("/recommendations", json={"clicked": [f"item-{users[n] + k}" for k in range(5)]}),
            requests,
        ),
        "list for a sentence": timed(
            lambda n: client.post("/recommendations", json={"preferences": sentence(rng, 8)}), requests // 5
        ),
        "list for nobody": timed(lambda n: client.post("/recommendations", json={}), requests),
    }
    many = clients.crowd(
        str(client.base_url), [clients.request(f"/users/user-{n}/recommendations") for n in users], CROWD
    )
    rows[f"list for a known user, {CROWD} clients"] = many.ms
    with posting(client.base_url):
        busy = timed(lambda n: client.get(f"/users/user-{users[n]}/recommendations"), requests)
    rows["list for a known user, while items arrive"] = busy
    rows["TTR, while a backfill is loaded"] = behind = post_beside_backfill(service, folder, posts)
    print(f"{items:,} items, {posts} posted, lists of {LIMIT}; milliseconds at one client unless it says otherwise")
    print(f"{'':<44}{'p50':>8}{'p95':>8}{'p99':>8}")
    for name, times in rows.items():
        print(f"{name:<44}" + "".join(f"{np.percentile(times, q):8.1f}" for q in (50, 95, 99)))
    now, peak = service.memory_mb()
    print(f"{CROWD} clients get {many.rps:.0f} lists a second")
    print(f"resident memory {now:.0f} MB, at most {peak:.0f} MB; start to ready {start_s:.1f} s")
    known = rows["list for a known user"]
    result = {
        **{f"ttr_p{q}_ms": round(float(np.percentile(ttr_ms, q)), 1) for q in (50, 95, 99)},
        "idle_ttr_p95_ms": round(float(np.percentile(ttr_ms, 95)), 1),
        "backfill_ttr_p95_ms": round(float(np.percentile(behind, 95)), 1),
        "floor_p50_ms": round(float(np.percentile(floor_ms, 50)), 1),
        **{f"recommend_p{q}_ms": round(float(np.percentile(known, q)), 1) for q in (50, 95)},
        "recommend_busy_p95_ms": round(float(np.percentile(busy, 95)), 1),
        "crowd_p99_ms": round(float(np.percentile(many.ms, 99)), 1),
        "crowd_lists_per_s": round(many.rps),
        "put_p95_ms": round(float(np.percentile(put_ms, 95)), 1),
        "items": items,
        "posted": posts,
        "rss_mb": round(now),
        "rss_peak_mb": round(peak),
        "start_s": round(start_s, 1),
    }
    print(json.dumps(result))


def post(client: httpx.Client, rng: np.random.Generator, number: int, prefix: str) -> tuple[list[float], list[float]]:
    """Post items one after another; milliseconds to the 202, and from committed to searchable."""
    put_ms, ttr_ms = [], []
    for n in range(number):
        item_id, body = f"{prefix}-{n}", item(rng)
        start = time.perf_counter()
        client.put(f"/items/{item_id}", json=body).raise_for_status()
        put_ms.append((time.perf_counter() - start) * 1000)
        view = wait_until_settled(client, item_id)
        assert view["status"] == "retrievable" and view["modalities"] == ["text", "image"], view
        ttr_ms.append(view["since_accepted_ms"]["retrievable"])
        client.get(f"/items/{item_id}/similar", params={"limit": 1}).raise_for_status()
    return put_ms, ttr_ms


def post_beside_backfill(service: processes.Service, folder: Path, number: int) -> list[float]:
    """Milliseconds from committed to searchable of items posted while a backfill of many more is loaded."""
    rng, source = np.random.default_rng(3), folder / "bulk"
    rows = bulk.write_source(source, (item(rng) for _ in range(BULK * number)))
    with bulk.loading(source, folder / "state") as process:
        bulk.wait_for_rows(process, folder / "state", 10)
        _, ttr_ms = post(service.client, rng, number, "beside")
        found = bulk.wait_for_rows(process, folder / "state", 0)
        assert found.waiting > 0, f"all {rows} were loaded before the last was posted"
    return ttr_ms


@contextmanager
def posting(url: httpx.URL | str, *, pause_s: float = 0.0) -> Iterator[list[float]]:
    """Somebody posts items meanwhile, each when the one before is retrievable: their times to recommendable, in ms."""
    over, times = threading.Event(), list[float]()

    def go() -> None:
        rng = np.random.default_rng(2)
        with httpx.Client(base_url=url, timeout=60) as client:
            for n in count():
                if over.wait(pause_s):
                    return
                times.extend(post(client, rng, 1, f"meanwhile-{n}")[1])

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join()


def timed(request: Callable[[int], httpx.Response], times: int) -> list[float]:
    """Milliseconds of each of the requests, after ten that do not count."""
    elapsed = []
    for n in [*range(10), *range(times)]:
        start = time.perf_counter()
        answer = request(n)
        elapsed.append((time.perf_counter() - start) * 1000)
        assert len(answer.raise_for_status().json()["rows"]) == LIMIT
    return elapsed[10:]


def item(rng: np.random.Generator) -> dict[str, object]:
    """A body with a text and a picture."""
    buffer = io.BytesIO()
    pixels = rng.integers(0, 256, size=(14, 14, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((224, 224), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    picture = base64.b64encode(buffer.getvalue()).decode()
    return {"title": sentence(rng, 4), "text": sentence(rng, 56), "image": f"data:image/jpeg;base64,{picture}"}


def sentence(rng: np.random.Generator, words: int) -> str:
    """So many words."""
    return " ".join(rng.choice(WORDS, size=words)).capitalize()


if __name__ == "__main__":
    main()
