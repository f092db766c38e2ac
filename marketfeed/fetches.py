"""`Fetches`: the REST calls a session is waiting for: one open call a stream, made again with growing delays."""

from collections.abc import Callable, Iterator
from functools import partial

from .commands import Fetch
from .pace import SECOND
from .venues._spec import Request

MAX_DELAY_S = 30.0
FIRST_DELAY_S = 0.25


def delay_ns(tries: int) -> int:
    """Before another call, after so many in vain: none, then 0.25 s, doubling up to 30 s."""
    return int(min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(tries - 1, 16)) * SECOND) if tries > 0 else 0


class Fetches:
    """At most one fetch a stream is open (I7); a reply to any other token is nobody's (I8).

    `request` makes a stream's request by its native name, `fetch` takes the command, `tokens` are not used twice;
    `background` is as in `Fetch`.
    """

    def __init__(
        self,
        request: Callable[[str], Request],
        fetch: Callable[[Fetch], None],
        tokens: Iterator[int],
        *,
        background: bool = False,
    ) -> None:
        self._background = background
        self._request = request
        self._fetch = fetch
        self._tokens = tokens
        self._open: dict[str, int] = {}
        self._later: dict[str, int] = {}
        self._tries: dict[str, int] = {}

    def ask(self, native: str, mono_ns: int) -> None:
        """Make the call: at once, or after a delay where the last one did not do."""
        if native in self._open or native in self._later:
            return
        tries = self._tries.get(native, 0)
        if tries:
            self._later[native] = mono_ns + delay_ns(tries)
        else:
            self._go(native)

    def ask_at(self, native: str, mono_ns: int) -> None:
        """Make the call at that time, unless it is made before."""
        if native not in self._open:
            self._later.setdefault(native, mono_ns)

    def hurry(self, native: str) -> None:
        """Make a call that waits for its time at once."""
        if native not in self._open:
            self._later.pop(native, None)
            self._go(native)

    def answered(self, token: int) -> str | None:
        """The stream whose fetch this token is, no longer open; None where nobody waits for it. It counts as a try."""
        for native, known in self._open.items():
            if known == token:
                del self._open[native]
                self._tries[native] = self._tries.get(native, 0) + 1
                return native
        return None

    def served(self, native: str) -> None:
        """The answer did: the next call is made at once."""
        self._tries.pop(native, None)

    def forget(self, native: str) -> None:
        """The stream is not wanted any more; a call that is still to be made is left undone."""
        for known in (self._open, self._later, self._tries):
            known.pop(native, None)

    def tick(self, mono_ns: int) -> int | None:
        """Ask what is due; returns when the next is, or None."""
        for native in [n for n, at in self._later.items() if at <= mono_ns]:
            del self._later[native]
            self._go(native)
        return min(self._later.values(), default=None)

    def _go(self, native: str) -> None:
        token = self._open[native] = next(self._tokens)
        self._fetch(Fetch(token, self._request(native), self._background, partial(self._waits, native, token)))

    def _waits(self, native: str, token: int) -> bool:
        return self._open.get(native) == token
