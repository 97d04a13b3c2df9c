"""Events: what users did, as it happens."""

import time

from fastapi import APIRouter

from api.access import GuardedRoute, needs
from api.dependencies import ServiceDep
from api.problems import documented
from api.schemas.answers import EventsView
from api.schemas.requests import EventsBody
from coldstart.access import Scope
from coldstart.entities import Event

router = APIRouter(tags=["events"], route_class=GuardedRoute)


@router.post("/events", status_code=202, summary="Record up to 1,000 events", responses=documented(413, 415, 422, 503))
@needs(Scope.WRITE)
async def record_events(body: EventsBody, service: ServiceDep) -> EventsView:
    """Committed when answered, all or none; the user's next list knows them. A repeated `event_id` changes nothing."""
    now = time.time()
    events = [
        Event(each.event_id, each.user_id, each.item_id, now if each.timestamp is None else each.timestamp, each.kind)
        for each in body.events
    ]
    recorded = await service.writes.run(service.runtime.recorder.record, events)
    new = len(recorded.new)
    return EventsView(recorded=new, duplicates=len(events) - new, unknown_items=len(recorded.unknown_items))
