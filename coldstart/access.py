"""API keys: what they are made of, what each may do, and how one that was sent is checked.

A key is ``cs_<id>_<secret>``. The id names it in lists, limits and logs; of the whole only a SHA-256 is kept. A slow
hash protects secrets that people choose. This one is 256 random bits, which no search finds however fast the hash is,
and a slow one would be work that strangers could make every request cost.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

_ID_BYTES, _SECRET_BYTES = 6, 32
_TOKEN = re.compile(rb"cs_([0-9a-f]{%d})_[0-9a-f]{%d}" % (2 * _ID_BYTES, 2 * _SECRET_BYTES))


class Scope(StrEnum):
    """What a key may do; each scope includes the ones before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, needed: "Scope") -> bool:
        """Whether a key of this scope may do what needs that one.

        >>> [Scope.WRITE.allows(needed) for needed in Scope]
        [True, True, False]
        """
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: enough to recognise it, not to use it. Times are Unix seconds."""

    key_id: str
    digest: bytes = field(repr=False)
    scope: Scope
    name: str
    created_at: float
    revoked_at: float | None = None

    def matches(self, token: bytes) -> bool:
        """Whether this is the key that was sent, compared in constant time; never for a revoked one."""
        return self.revoked_at is None and hmac.compare_digest(digest_of(token), self.digest)


def new_token() -> tuple[str, str]:
    """An id that no key has yet, and the whole key.

    >>> key_id, token = new_token()
    >>> id_of(token.encode()) == key_id
    True
    """
    key_id = secrets.token_hex(_ID_BYTES)
    return key_id, f"cs_{key_id}_{secrets.token_hex(_SECRET_BYTES)}"


def id_of(token: bytes) -> str | None:
    """The id within what was sent as a key; ``None`` where it cannot be one.

    >>> id_of(b"cs_" + b"0" * 12 + b"_" + b"f" * 64), id_of(bytes([0xE9]) * 80)
    ('000000000000', None)
    """
    found = _TOKEN.fullmatch(token)
    return found[1].decode("ascii") if found else None


def digest_of(token: bytes) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(token).digest()
