"""What it costs to show every new item: the exposure floor's curve.

``python -m benchmarks.exposure [DATA --split NAME]`` lets new items arrive at once in a shop that is replayed from a
data set (`benchmarks.replay`; a sample shop by default), and serves as many lists as a floor of a tenth of the places
needs to show each of them its quota, with a reserve of a quarter. The same lists are served with other shares of the
places, and without a floor. It prints for each share how many items got their quota within the window, how often the
least shown were shown, and what the floor costs in NDCG@20 over warm and new items together. Ends with one JSON line.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks import command
from benchmarks.replay import K, ReplayedShop, ndcg, replayed
from coldstart.dataset import read_dataset
from coldstart.recommend import Request
from coldstart.recommend.newcomers import Quota
from coldstart.recommend.policy import Policy
from coldstart.splits import read_split
from coldstart.vectors import Rows

SHARES = (0.0, 0.05, 0.1, 0.2, 0.4)
ENOUGH = 0.1
RESERVE = 1.25
WINDOW_S = 14 * 86_400.0
LISTS_A_REFRESH = 20


@dataclass(frozen=True)
class Row:
    """One point of the curve; ``cost`` is the share of NDCG@20 that is lost against no floor."""

    cold_share: float
    reached: float
    least: int
    p10: float
    p50: float
    ndcg20: float
    cost: float


def measure(shop: ReplayedShop, new: Rows, *, cold_share: float, lists: int, quota: Quota) -> tuple[np.ndarray, float]:
    """How often each new item was shown [n] among so many lists over the window, and the lists' NDCG@20."""
    rng = np.random.default_rng(0)
    policy = Policy(cold_share=cold_share)
    users = rng.choice(shop.users, size=lists)
    shown = dict.fromkeys(new.tolist(), 0)
    ranked: list[Rows] = []
    for place, user in enumerate(track(users.tolist(), f"a floor of {cold_share:.0%}", transient=True)):
        shop.clock.now += quota.window_s / lists
        if place % LISTS_A_REFRESH == 0:
            shop.floor.refresh()
        # Histories stay as they are: every share is judged by the same readers.
        answer = shop.recommender.recommend(Request(user_id=shop.user_id(user), limit=K, policy=policy, explain=False))
        rows = shop.rows(answer)
        ranked.append(rows)
        for row in rows.tolist():
            if row in shown:
                shown[row] += 1
    return np.array(list(shown.values())), ndcg(ranked, users.tolist(), shop.taste.truth)


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="a quota of 4 impressions")
    parser.add_argument("data", nargs="?", type=Path, help="data set folder; by default a sample shop")
    parser.add_argument("--split", default="arrivals", help="published split of the data set (arrivals)")
    parser.add_argument("--adapter", type=Path, help="adapter trained on the split; by default one is trained")
    parser.add_argument("--items", type=int, default=500, help="new items (500, or all cold test items)")
    parser.add_argument("--quota", type=int, default=20, help="impressions that each is owed (20)")
    options = parser.parse_args()
    data, adapter = command.served_split(options.work, options.data, split=options.split, adapter=options.adapter)
    dataset = read_dataset(data)
    split = read_split(dataset, options.split)
    quota = Quota(impressions=4 if options.quick else options.quota, window_s=WINDOW_S, kill_after=10**9)
    new = np.random.default_rng(0).permutation(split.cold_test_items)[: options.items]
    lists = round(RESERVE * len(new) * quota.impressions / (ENOUGH * K))
    table: list[Row] = []
    for cold_share in SHARES:
        with (
            tempfile.TemporaryDirectory(prefix="coldstart-exposure-") as folder,
            replayed(dataset, split, adapter, Path(folder), quota=quota) as shop,
        ):
            shop.arrive(new)
            shown, quality = measure(shop, new, cold_share=cold_share, lists=lists, quota=quota)
        cost = 0.0 if not table else 1 - quality / table[0].ndcg20
        table.append(_row(cold_share, shown, quality, cost, quota))
    tell(table, items=len(new), lists=lists, quota=quota.impressions)


def _row(cold_share: float, shown: np.ndarray, quality: float, cost: float, quota: Quota) -> Row:
    return Row(
        cold_share, round(float((shown >= quota.impressions).mean()), 4), int(shown.min()),
        float(np.percentile(shown, 10)), float(np.median(shown)), round(quality, 4), round(cost, 4),
    )  # fmt: skip


def tell(table: Sequence[Row], *, items: int, lists: int, quota: int) -> None:
    """A table, then one line of JSON."""
    print(f"{items:,} new items, each owed {quota} impressions; {lists:,} lists of {K}")
    print(f"{'floor':>6}{'quota reached':>15}{'least shown':>13}{'p10':>7}{'median':>8}{'NDCG@20':>9}{'cost':>8}")
    for row in table:
        print(
            f"{row.cold_share:>6.0%}{row.reached:>15.1%}{row.least:>13}{row.p10:>7.0f}{row.p50:>8.0f}"
            f"{row.ndcg20:>9.4f}{row.cost:>8.1%}"
        )
    print(json.dumps({"items": items, "lists": lists, "quota": quota, "curve": [asdict(row) for row in table]}))


if __name__ == "__main__":
    main()
