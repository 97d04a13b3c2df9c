"""Errors that say what happened, to which id, and what to do next. Each carries its HTTP status."""

from typing import ClassVar


class ColdstartError(Exception):
    """Base of every error raised on purpose.

    Parameters
    ----------
    what : str
        What happened, in one clause.
    subject : str, optional
        The id, file or setting that it happened to.
    remedy : str, optional
        What the reader can do about it.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retry_after_s: int | None = None
    """Seconds after which the same request may fare better; ``None`` where time alone changes nothing."""

    def __init__(self, what: str, *, subject: str | None = None, remedy: str | None = None) -> None:
        self.what, self.subject, self.remedy = what, subject, remedy
        message = f"{subject}: {what}" if subject is not None else what
        super().__init__(f"{message}. {remedy}" if remedy else message)


class InvalidInput(ColdstartError):
    """The input cannot be accepted as it is."""

    status = 422
    title = "Invalid input"


class Unauthorized(ColdstartError):
    """The request does not say who asks, or says it with a key that is not valid."""

    status = 401
    title = "Unauthorized"


class Forbidden(ColdstartError):
    """Who asks is known, and may not do this."""

    status = 403
    title = "Forbidden"


class NotFound(ColdstartError):
    """Nothing is known under this id."""

    status = 404
    title = "Not found"


class Conflict(ColdstartError):
    """The request contradicts what is stored or what runs."""

    status = 409
    title = "Conflict"


class InFlight(Conflict):
    """The same request is being answered already."""

    title = "In flight"
    retry_after_s = 1


class Unavailable(ColdstartError):
    """A part that the answer needs is missing, starting or overloaded."""

    status = 503
    title = "Unavailable"
    retry_after_s = 1


class Overloaded(ColdstartError):
    """More is asked for than the deployment gets done, by whichever process it is asked."""

    status = 429
    title = "Overloaded"

    def __init__(self, what: str, *, retry_after_s: int, subject: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what, subject=subject, remedy=remedy)
        self.retry_after_s = retry_after_s


class RateLimited(ColdstartError):
    """Who asks has asked too often."""

    status = 429
    title = "Rate limited"

    def __init__(self, what: str, *, subject: str, retry_after_s: int) -> None:
        super().__init__(what, subject=subject, remedy="Try again after the time in Retry-After, and ask less often")
        self.retry_after_s = retry_after_s


class MissingExtra(ColdstartError):
    """An optional dependency is not installed."""

    status = 501
    title = "Not installed"

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            remedy=f"Install it with: pip install 'coldstart-service[{extra}]'",
        )
