"""Points in time as people write them: ISO 8601, Unix seconds, Unix milliseconds."""

from datetime import UTC, datetime

from coldstart.errors import InvalidInput

# As seconds this is the year 5138, as milliseconds March 1973: a larger number means milliseconds.
_MILLISECONDS_FROM = 1e11
_LATEST = 253402300800.0  # the year 10000, where ISO 8601 and datetime end


def parse_time(value: str | float) -> float:
    """Unix seconds of a time; a date is its midnight, and a time without a zone is in UTC.

    Raises
    ------
    InvalidInput
        Where the value is neither ISO 8601 nor Unix seconds nor Unix milliseconds.

    Examples
    --------
    >>> parse_time("1970-01-02"), parse_time("1970-01-01T01:00:00+01:00"), parse_time("86400")
    (86400.0, 0.0, 86400.0)
    >>> parse_time(1700000000000)
    1700000000.0
    """
    try:
        seconds = float(value)
    except ValueError:
        seconds = _parse_iso(str(value))
    if abs(seconds) >= _MILLISECONDS_FROM:
        seconds /= 1000.0
    if not abs(seconds) < _LATEST:
        raise _bad(value)
    return seconds


def _parse_iso(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise _bad(value) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _bad(value: str | float) -> InvalidInput:
    return InvalidInput(
        f"{value!r} is not a time", remedy="Write ISO 8601 (2026-03-01T12:00:00Z), Unix seconds or Unix milliseconds"
    )
