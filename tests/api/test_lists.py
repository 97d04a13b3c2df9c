"""What is written without its models is what they describe."""

from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from api.schemas import lists
from api.schemas.answers import RecommendationsView, SimilarView
from coldstart.entities import Recommendation
from coldstart.recommend import RecommendationList
from coldstart.recommend.arms import Assignment

ROWS = [
    Recommendation("warm", 1.5, False, "fits", nearest="other", likeness=0.25),
    Recommendation("né/🍵", 0.0, True, "new, fits", propensity=0.5, gates={"text": 1.0, "image": 2.0}),
    Recommendation("bare", -1.0, True, gates={"text": 0.0, "image": 0.0}),
]
ANSWER = RecommendationList(ROWS, "0f", "history+clicks", "v1", degraded=True, ignored=("gone",))


@pytest.mark.parametrize("explain", [True, False])
def test_a_list_is_what_its_model_describes(explain: bool) -> None:
    told = orjson.loads(lists.recommendations(ANSWER, (Assignment("taste", "b"),), explain=explain).body)
    assert told == _read(RecommendationsView, told)
    assert [row["item_id"] for row in told["rows"]] == ["warm", "né/🍵", "bare"]
    assert told["assignments"] == [{"experiment": "taste", "arm": "b"}] and told["ignored"] == ["gone"]
    warm, cold, bare = told["rows"]
    assert (warm["evidence"] is not None, warm["reason"] is not None) == (explain, explain)
    if explain:
        assert warm["evidence"] == {"nearest": "other", "likeness": 0.25, "modalities": {}}
        assert cold["evidence"]["modalities"] == {"text": 0.333, "image": 0.667}
        assert bare["evidence"]["modalities"] == {} and bare["reason"] == ""


def test_what_is_similar_is_what_its_model_describes() -> None:
    told = orjson.loads(lists.similar(ROWS, "v1").body)
    assert told == _read(SimilarView, told) and told["rows"][0]["score"] == 1.5


def _read(model: type[BaseModel], told: Any) -> Any:
    """As the model reads and writes it: what is too much or too little makes a difference."""
    return model.model_validate(told).model_dump(mode="json")
