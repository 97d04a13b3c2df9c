import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.access import ApiKey, Scope, digest_of, id_of, new_token


def key_of(token: str, *, revoked_at: float | None = None) -> ApiKey:
    return ApiKey("id", digest_of(token.encode()), Scope.READ, "", 0.0, revoked_at)


def test_a_key_is_recognised_whole_and_only_while_valid() -> None:
    _, token = new_token()
    assert key_of(token).matches(token.encode())
    assert not key_of(token, revoked_at=1.0).matches(token.encode())
    for other in (token[:-1], token + "0", token.upper(), new_token()[1], ""):
        assert not key_of(token).matches(other.encode())


def test_what_is_stored_says_nothing_of_the_secret() -> None:
    _, token = new_token()
    key = key_of(token)
    assert key.digest == hashlib.sha256(token.encode()).digest()
    assert token not in repr(key) and repr(key.digest) not in repr(key) and key.digest.hex() not in repr(key)


def test_tokens_differ_in_id_and_secret() -> None:
    made = [new_token()[1].split("_") for _ in range(100)]
    assert len({key_id for _, key_id, _ in made}) == len({secret for _, _, secret in made}) == 100
    assert all(len(bytes.fromhex(secret)) == 32 for _, _, secret in made)


@given(st.binary(max_size=100))
def test_bytes_that_are_no_key_have_no_id(sent: bytes) -> None:
    assert id_of(sent) is None


@pytest.mark.parametrize("change", [str.upper, lambda t: f" {t}", lambda t: f"{t}\n", lambda t: t.replace("_", "-")])
def test_what_only_looks_like_a_key_has_no_id(change: object) -> None:
    _, token = new_token()
    assert callable(change) and id_of(change(token).encode()) is None


def test_scopes_include_the_ones_before_them() -> None:
    allowed = {(has, needed) for has in Scope for needed in Scope if has.allows(needed)}
    r, w, a = Scope
    assert allowed == {(r, r), (w, r), (w, w), (a, r), (a, w), (a, a)}
