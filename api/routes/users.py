"""Users: onboarding, the merge of an anonymous history into an account, and erasure."""

from fastapi import APIRouter

from api.access import GuardedRoute, needs
from api.dependencies import ServiceDep
from api.paths import UserId
from api.problems import documented
from api.schemas.answers import moment
from api.schemas.users import ErasedView, MergeBody, MergeView, StoredView, UserBody, UserView
from coldstart.access import Scope
from coldstart.entities import ExternalId
from coldstart.errors import NotFound
from coldstart.recommend import Request
from coldstart.users.profile import Profile
from workers.runtime import Runtime

router = APIRouter(prefix="/users", tags=["users"], route_class=GuardedRoute)


@router.put("/{user_id:id}", summary="Say what a user likes", responses=documented(409, 413, 415, 422, 503))
@needs(Scope.WRITE)
async def put_user(user_id: UserId, body: UserBody, service: ServiceDep) -> StoredView:
    """Takes the place of all that was said before; committed when answered, and the next list knows it.

    409: the id is another name of an account, whose profile is to be put instead.
    """
    models, adapter = service.runtime.models, service.runtime.adapter
    said = body.preferences
    profile = Profile(
        preferences=said,
        embedding=None if said is None else await service.sentences.run(models.embed_sentence, said),
        encoder=None if said is None else adapter.text_fingerprint,
        liked=tuple(body.liked),
        disliked=tuple(body.disliked),
        attributes=body.attributes,
    )
    updated_at = await service.writes.run(service.runtime.put_profile, user_id, profile)
    return StoredView(user_id=user_id, updated_at=moment(updated_at))


@router.get("/{user_id:id}", summary="Where a user stands", responses=documented(404, 422, 503))
@needs(Scope.READ)
async def get_user(user_id: UserId, service: ServiceDep) -> UserView:
    """What is stored of them, and from what a list would be made now."""
    return await service.reads.run(_stands, service.runtime, user_id)


@router.post("/{user_id:id}/merge", summary="Make two users one", responses=documented(409, 413, 415, 422, 503))
@needs(Scope.WRITE)
async def merge(user_id: UserId, body: MergeBody, service: ServiceDep) -> MergeView:
    """After a login, say: what the anonymous visitor did counts for the account, also what is reported late.

    Of what both said the account's counts; lists are joined. Merging twice is the same as once. 409: in a circle, or of
    an id that was merged into another account; 422: onto itself.
    """
    return MergeView.of(await service.writes.run(service.runtime.merge, body.source, into=user_id))


@router.delete("/{user_id:id}", summary="Erase a user", responses=documented(409, 422, 503))
@needs(Scope.WRITE)
async def erase(user_id: UserId, service: ServiceDep) -> ErasedView:
    """Every trace under every name, and a look at every place afterwards; also of somebody unknown.

    Events of before that arrive again are not recorded, and what the backbone learnt of them is not used any more. 503:
    repeat it, and it goes on where it stopped. 409: the id is another name of an account, and that is to be erased.
    """
    return ErasedView.of(await service.deletes.run(service.runtime.erase, user_id))


def _stands(runtime: Runtime, user_id: ExternalId) -> UserView:
    record, reader = runtime.users.get(user_id), runtime.readers.reader_of(user_id)
    trained = not reader.erased and reader.user_id in runtime.adapter.backbone.users
    if record.updated_at is None and not record.events and not trained:
        raise NotFound("the user is unknown", subject=user_id, remedy="PUT a profile, or report events")
    answer, _ = runtime.recommend(Request(user_id=user_id, limit=1))
    return UserView.of(record, trained=trained, strategy=answer.strategy)
