"""Events: what users did, as it happens."""

import time

from fastapi import APIRouter

from api.access import GuardedRoute, needs
from api.dependencies import ServiceDep
from api.problems import documented
from api.schemas.answers import EventsView
from coldstart.access import Scope
from coldstart.reports import EventsBody

router = APIRouter(tags=["events"], route_class=GuardedRoute)


@router.post("/events", status_code=202, summary="Record up to 1,000 events", responses=documented(413, 415, 422, 503))
@needs(Scope.WRITE)
async def record_events(body: EventsBody, service: ServiceDep) -> EventsView:
    """Committed when answered, all or none; the user's next list knows them. A repeated `event_id` changes nothing.

    A time ahead of the server's becomes its own. Of a late event only the time it says counts, not when it came.
    """
    now = time.time()
    events = [each.event(now=now) for each in body.events]
    recorded = await service.writes.run(service.runtime.recorder.record, events)
    new = len(recorded.new)
    return EventsView(recorded=new, duplicates=len(events) - new, unknown_items=len(recorded.unknown_items))
