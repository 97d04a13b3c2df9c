"""Recommendations: for a known user, for clicked items, for a sentence, for nobody in particular."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from api.access import GuardedRoute, needs
from api.dependencies import ListLimit, Service, ServiceDep
from api.paths import UserId
from api.problems import documented
from api.schemas import lists
from api.schemas.answers import RecommendationsView
from api.schemas.requests import RecommendationsBody
from coldstart.access import Scope
from coldstart.bodies import Body
from coldstart.index import Filter
from coldstart.recommend import RecommendationList, Request
from coldstart.recommend.arms import Assignment
from coldstart.recommend.at_hand import NotAtHand
from coldstart.recommend.policy import Boost

router = APIRouter(tags=["recommendations"], route_class=GuardedRoute)


@router.get(
    "/users/{user_id:id}/recommendations",
    summary="Recommend to a user",
    response_model=RecommendationsView,
    responses=documented(422, 503),
)
@needs(Scope.READ)
async def for_user(user_id: UserId, service: ServiceDep, limit: ListLimit = 20) -> Response:
    """From the user's history and recent events; a user nobody has heard of gets what is popular and new."""
    answer, assignments = await _recommend(service, Request(user_id=user_id, limit=limit), unit=user_id)
    return lists.recommendations(answer, assignments)


@router.post(
    "/recommendations",
    summary="Recommend from whatever is known",
    response_model=RecommendationsView,
    responses=documented(413, 415, 422, 503),
)
@needs(Scope.READ)
async def recommend(body: RecommendationsBody, service: ServiceDep) -> Response:
    """What is known of the reader becomes one query; the answer names what it was made from."""
    request = Request(
        user_id=body.user_id,
        clicked=tuple(body.clicked),
        preferences=body.preferences,
        limit=body.limit,
        where=_filter(body.filter) or None,
        exclude=tuple(body.exclude),
        boosts=tuple(Boost(_filter(each.filter), each.factor) for each in body.boosts),
        policy=None if body.diversity is None else replace(service.runtime.policy, diversity=body.diversity),
        explain=body.explain,
    )
    answer, assignments = await _recommend(service, request, unit=body.user_id or body.session_id)
    return lists.recommendations(answer, assignments, explain=body.explain)


async def _recommend(
    service: Service, request: Request, *, unit: str | None
) -> tuple[RecommendationList, tuple[Assignment, ...]]:
    """At once of what is at hand, which takes less than a thread; else in one, so that what hangs keeps nobody else."""
    with suppress(NotAtHand):
        return service.runtime.recommend(request, unit=unit, at_hand=True)
    permits = service.sentences if request.preferences else service.lists
    return await permits.run(service.runtime.recommend, request, unit=unit)


def _filter(conditions: dict[str, Any]) -> Filter:
    return {path: _condition(wanted) for path, wanted in conditions.items()}


def _condition(wanted: Any) -> Any:
    return wanted.model_dump(exclude_none=True, by_alias=True) if isinstance(wanted, Body) else wanted
