"""What a session asks its driver to do."""

from msgspec import Struct

from .venues._spec import Request


class Send(Struct, frozen=True):
    """Send a frame: str as text, bytes as binary."""

    payload: str | bytes


class Ping(Struct, frozen=True):
    """Send a protocol ping; its answer comes back as `on_pong`."""


class Fetch(Struct, frozen=True):
    """Make a REST call within the budget; the answer is `on_reply(token, ...)` or `on_failure(token, ...)`."""

    token: int
    request: Request


class Close(Struct, frozen=True):
    """Close the connection; the driver makes a new one."""

    reason: str


Command = Send | Ping | Fetch | Close
