"""User state in Redis, for any number of processes that write events and read them.

Of each user there is one sorted set: events by time, and above them a marker that says whether the set is all that the
log knows, or is being read from it. So an event that is committed while a user is read is in one of the two.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from secrets import token_hex
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from coldstart.entities import Event, ExternalId
from coldstart.errors import Unavailable
from coldstart.users.state import STATE_EVENTS, Load, personal

_log = logging.getLogger(__name__)

PREFIX = "coldstart:user:"
TIMEOUT_S = 0.25
PAUSE_S = 1.0
"""How long Redis is left alone after it failed to answer."""
KEPT_S = 3600.0
"""After so long a user is read from the log again: the bound on whatever a process could not put right before it died.
"""
READING_S = 60.0
MAX_OWED = 100_000

# Members are texts without NUL, so one that begins with NUL is the marker: alone for a set that is whole, followed by
# the reader's token while it is read. Its score is above any time, and a set without one does not exist.
_WHOLE = b"\0"
_READ = """
local top = redis.call('ZREVRANGE', KEYS[1], 0, 0)[1]
if top == '\\0' then return {'', redis.call('ZREVRANGE', KEYS[1], 1, ARGV[1], 'WITHSCORES')} end
if top then return {top, {}} end
redis.call('ZADD', KEYS[1], 'inf', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {ARGV[2], {}}
"""
_PUT = """
local top = redis.call('ZREVRANGE', KEYS[1], 0, 0)[1]
local keep, kept_ms, token = tonumber(ARGV[1]), ARGV[2], ARGV[3]
if not top or (token ~= '' and token ~= top) then return 0 end
for i = 4, #ARGV, 2 do redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1]) end
if token ~= '' then
  redis.call('ZREM', KEYS[1], token)
  redis.call('ZADD', KEYS[1], 'inf', '\\0')
  redis.call('PEXPIRE', KEYS[1], kept_ms)
end
local over = redis.call('ZCARD', KEYS[1]) - 1 - keep
if over > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1) end
return 1
"""


class RedisState:
    """`UserState` in Redis. While Redis is away users are read from the log.

    What could not be written there is owed: a thread lets go of these users as soon as Redis answers, so that they are
    read from the log again; until then this process reads them there.

    Parameters
    ----------
    redis : Redis
        With short timeouts and without retries: requests wait for it.
    load : Load
        What the log knows of a user.
    """

    def __init__(self, redis: Redis, load: Load) -> None:
        self._redis, self._load = redis, load
        self._read, self._put = redis.register_script(_READ), redis.register_script(_PUT)
        self._asks_again_at = 0.0
        self._owed, self._owes_all = set[ExternalId](), False
        self._settling, self._settles_all = set[ExternalId](), False
        self._lock = Lock()
        self._paying: Thread | None = None

    def apply(self, events: Sequence[Event]) -> None:
        """See `UserState.apply`."""
        by_user: dict[ExternalId, list[Event]] = defaultdict(list)
        for event in personal(events):
            by_user[event.user_id].append(event)
        try:
            if by_user and self._is_rested():
                with self._redis.pipeline(transaction=False) as pipe:
                    for user_id, mine in by_user.items():
                        self._put([PREFIX + user_id], _arguments(b"", mine), client=pipe)
                    pipe.execute()
                return
        except (RedisError, OSError) as error:
            self._rest(error)
        self._owe(by_user)

    def recent(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        """See `UserState.recent`."""
        token = b""
        try:
            if self._is_rested() and not self._owes(user_id):
                mine = _WHOLE + token_hex(8).encode()
                token, found = self._read([PREFIX + user_id], [limit, mine, round(READING_S * 1000)])
                if not token:
                    return [_event(user_id, *found[row : row + 2]) for row in range(0, len(found), 2)]
        except (RedisError, OSError) as error:
            self._rest(error)
        loaded = self._load(user_id)
        if token:
            try:
                self._put([PREFIX + user_id], _arguments(token, loaded))
            except (RedisError, OSError) as error:
                self._rest(error)
        return list(loaded[:limit])

    def forget(self, user_ids: Sequence[ExternalId]) -> None:
        """See `UserState.forget`."""
        if not user_ids:
            return
        try:
            self._redis.delete(*(PREFIX + user_id for user_id in user_ids))
        except (RedisError, OSError) as error:
            self._rest(error)
            self._owe(user_ids)
            raise Unavailable("recent behaviour in Redis is not forgotten yet", subject="redis_url",
                              remedy="Check that Redis runs, and try again") from error  # fmt: skip

    def held(self, user_ids: Sequence[ExternalId]) -> int:
        """See `UserState.held`."""
        try:
            return int(self._redis.exists(*(PREFIX + user_id for user_id in set(user_ids)))) if user_ids else 0
        except (RedisError, OSError) as error:
            self._rest(error)
            raise Unavailable("what Redis holds of recent behaviour cannot be told", subject="redis_url",
                              remedy="Check that Redis runs, and try again") from error  # fmt: skip

    def _is_rested(self) -> bool:
        return monotonic() >= self._asks_again_at

    def _rest(self, error: Exception) -> None:
        _log.warning("recent behaviour is read from the log: Redis failed", extra={"error": type(error).__name__})
        self._asks_again_at = monotonic() + PAUSE_S

    def _owes(self, user_id: ExternalId) -> bool:
        with self._lock:
            every = self._owes_all or self._settles_all
            return every or user_id in self._owed or user_id in self._settling

    def _owe(self, user_ids: Iterable[ExternalId]) -> None:
        with self._lock:
            self._owed.update(user_ids)
            if len(self._owed) > MAX_OWED:
                self._owed, self._owes_all = set(), True
            if self._paying is None and (self._owed or self._owes_all):
                self._paying = Thread(target=self._pay, name="coldstart-redis", daemon=True)
                self._paying.start()

    def _pay(self) -> None:
        """Let go of the users owed, once Redis answers."""
        while self._take_up():
            sleep(PAUSE_S)
            try:
                if self._settles_all:
                    every = (key.decode().removeprefix(PREFIX) for key in self._redis.scan_iter(PREFIX + "*", 1000))
                    self._settling.update(every)
                users = list(self._settling)
                for start in range(0, len(users), 1000):
                    self._redis.delete(*(PREFIX + user_id for user_id in users[start : start + 1000]))
            except (RedisError, OSError):
                continue
            with self._lock:
                self._settling, self._settles_all = set(), False

    def _take_up(self) -> bool:
        """Add what is owed to what is being settled; ``False`` where there is neither."""
        with self._lock:
            self._settling, self._settles_all = self._settling | self._owed, self._settles_all or self._owes_all
            self._owed, self._owes_all = set(), False
            if not self._settling and not self._settles_all:
                self._paying = None
            return self._paying is not None


def _arguments(token: bytes, events: Sequence[Event]) -> list[Any]:
    """Of `_PUT`."""
    told: list[Any] = [STATE_EVENTS, round(KEPT_S * 1000), token]
    for event in events:
        told += [repr(event.timestamp), f"{event.event_id}\0{event.item_id}\0{event.kind}"]
    return told


def _event(user_id: ExternalId, member: bytes, score: bytes) -> Event:
    event_id, item_id, kind = member.decode().split("\0")
    return Event(event_id, user_id, item_id, float(score), kind)


def open_redis(url: str) -> Redis:
    """A client whose every call ends soon."""
    return Redis.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), retries=0)
    )
