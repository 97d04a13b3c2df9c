"""Which user state a deployment has."""

from contextlib import ExitStack
from enum import StrEnum

from coldstart.errors import MissingExtra
from coldstart.recommend.at_hand import AtHand
from coldstart.settings import Settings
from coldstart.users.memory import MemoryState
from coldstart.users.readers import Readers
from coldstart.users.state import Load, LogState, UserState


class StateKind(StrEnum):
    """Where recent behaviour is at hand."""

    REDIS = "redis"
    MEMORY = "memory"
    LOG = "log"


def is_alone(settings: Settings) -> bool:
    """Whether one process has the deployment's users to itself.

    Without a Qdrant server the index allows one service a folder, and SQLite is a file of that folder's machine.

    >>> is_alone(Settings()), is_alone(Settings(database_url="postgresql://host/name"))
    (True, False)
    """
    return settings.embeds_catalog and settings.qdrant_url is None


def state_kind(settings: Settings) -> StateKind:
    """Redis where the settings name one; memory where one process has the deployment to itself; else the log alone.

    >>> state_kind(Settings()), state_kind(Settings(database_url="postgresql://host/name"))
    (<StateKind.MEMORY: 'memory'>, <StateKind.LOG: 'log'>)
    """
    if settings.redis_url is not None:
        return StateKind.REDIS
    return StateKind.MEMORY if is_alone(settings) else StateKind.LOG


def open_state(stack: ExitStack, settings: Settings, load: Load) -> UserState:
    """The state of `state_kind`, closed with the stack; `MissingExtra` where Redis' client is not installed."""
    match state_kind(settings):
        case StateKind.REDIS:
            try:
                from coldstart.users.shared import RedisState, open_redis
            except ModuleNotFoundError:
                raise MissingExtra("redis", extra="redis", purpose="Recent behaviour in Redis") from None
            redis = open_redis(settings.redis_url or "")
            stack.callback(redis.close)
            return RedisState(redis, load)
        case StateKind.MEMORY:
            return MemoryState(load)
        case StateKind.LOG:
            return LogState(load)


def at_hand_of(readers: Readers, state: UserState) -> AtHand | None:
    """What lists can be made of in this process alone; nothing where behaviour is kept elsewhere."""
    return AtHand(readers, state) if isinstance(state, MemoryState) else None
