"""Recommendations: for a known user, for clicked items, for a sentence, for nobody in particular."""

import re
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response
from fastapi import Request as HttpRequest

from api.access import GuardedRoute, at_once, needs
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
from coldstart.recommend.request import LIMIT

router = APIRouter(tags=["recommendations"], route_class=GuardedRoute)
_LENGTH = re.compile(rb"limit=(\d{1,3})")


def _at_hand(request: HttpRequest) -> Response | None:
    """The list of a user who has asked before, where nothing has to be asked for."""
    asked, length = request.scope["query_string"], LIMIT
    if asked:
        match = _LENGTH.fullmatch(asked)
        if match is None or not (length := int(match[1])):
            return None
    user_id, service = request.path_params["user_id"], request.app.state.service
    try:
        answer, assignments = service.runtime.recommend(
            Request(user_id=user_id, limit=length), unit=user_id, at_hand=True
        )
    except NotAtHand:
        return None
    return lists.recommendations(answer, assignments)


@router.get(
    "/users/{user_id:id}/recommendations",
    summary="Recommend to a user",
    response_model=RecommendationsView,
    responses=documented(422, 503),
)
@needs(Scope.READ)
@at_once(_at_hand)
async def for_user(user_id: UserId, service: ServiceDep, limit: ListLimit = LIMIT) -> Response:
    """From the user's history and recent events; a user nobody has heard of gets what is popular and new."""
    answer, assignments = await _in_thread(service, Request(user_id=user_id, limit=limit), unit=user_id)
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
    """Of what is at hand, which takes less than a thread; else in one, so that what hangs keeps nobody else."""
    with suppress(NotAtHand):
        return service.runtime.recommend(request, unit=unit, at_hand=True)
    return await _in_thread(service, request, unit=unit)


async def _in_thread(
    service: Service, request: Request, *, unit: str | None
) -> tuple[RecommendationList, tuple[Assignment, ...]]:
    permits = service.sentences if request.preferences else service.lists
    return await permits.run(service.runtime.recommend, request, unit=unit)


def _filter(conditions: dict[str, Any]) -> Filter:
    return {path: _condition(wanted) for path, wanted in conditions.items()}


def _condition(wanted: Any) -> Any:
    return wanted.model_dump(exclude_none=True, by_alias=True) if isinstance(wanted, Body) else wanted
