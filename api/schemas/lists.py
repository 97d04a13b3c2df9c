"""Lists as JSON. Their schemas are in `answers`; making objects of these first would take longer than the writing."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import Response

from coldstart.entities import Recommendation
from coldstart.recommend import RecommendationList
from coldstart.recommend.arms import Assignment


def recommendations(
    answer: RecommendationList, assignments: Sequence[Assignment] = (), *, explain: bool = True
) -> Response:
    """The recommender's answer as a `RecommendationsView`, with reasons and evidence if wanted."""
    return _json(
        {
            "rows": [_row(row, explain=explain) for row in answer.rows],
            "list_id": answer.list_id,
            "strategy": answer.strategy,
            "adapter_version": answer.adapter_version,
            "degraded": answer.degraded,
            "ignored": answer.ignored,
            "assignments": assignments,
        }
    )


def similar(rows: Sequence[Recommendation], adapter_version: str) -> Response:
    """Items like another as a `SimilarView`."""
    return _json({"adapter_version": adapter_version, "rows": [_row(row, explain=True) for row in rows]})


def _row(row: Recommendation, *, explain: bool) -> dict[str, Any]:
    return {
        "item_id": row.item_id,
        "score": row.score,
        "cold": row.cold,
        "reason": row.reason if explain else None,
        "evidence": _evidence(row) if explain else None,
        "propensity": row.propensity,
    }


def _evidence(row: Recommendation) -> dict[str, Any]:
    shares = _shares(row.gates) if row.gates else {}  # which most rows do not have
    return {"nearest": row.nearest, "likeness": row.likeness, "modalities": shares}


def _shares(gates: Mapping[str, float]) -> dict[str, float]:
    total = sum(gates.values())
    return {modality: round(gate / total, 3) for modality, gate in gates.items()} if total > 0 else {}


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
