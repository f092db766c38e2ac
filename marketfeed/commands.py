"""What a session asks its driver to do."""

from collections.abc import Callable

from msgspec import Struct

from .venues._spec import Request


class Send(Struct, frozen=True):
    """Send a frame: str as text, bytes as binary."""

    payload: str | bytes


class Ping(Struct, frozen=True):
    """Send a protocol ping; its answer comes back as `on_pong`."""


class Fetch(Struct, frozen=True):
    """Make a REST call within the budget; the answer is `on_reply(token, ...)` or `on_failure(token, ...)`.

    One in the `background` leaves half of the budget to others. `wanted` says whether anybody still waits for it: where
    nobody does before it is made, it is not made.
    """

    token: int
    request: Request
    background: bool
    wanted: Callable[[], bool]


class Close(Struct, frozen=True):
    """Close the connection; the driver makes a new one. Of one that is `dead` no answer is awaited."""

    reason: str
    dead: bool = False


class Replace(Struct, frozen=True):
    """Close the connection once another has taken over from it."""

    reason: str


class Relist(Struct, frozen=True):
    """Read the list of instruments again: a market of this connection does not seem to be what it was."""


Command = Send | Ping | Fetch | Close | Replace | Relist
