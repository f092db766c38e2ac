"""`Polling`: what a session asks a polled source, when again, and which of its chains are heard."""

from collections.abc import Callable, Iterator, Mapping

from .chain import ChainStream
from .commands import Fetch
from .fetches import Fetches
from .pace import SECOND
from .venues._spec import Pace, Polls, Request

MISSED_POLLS, MARGIN_S = 3, 15.0
"""A chain on a polling link that is not heard for so many polls and seconds more is stale, where another is heard."""


SPARE = 1.1
"""Of the time that the budget has for a poll: the rest is for calls that are made again."""


class Polling:
    """Of one connection, by native name. `only` says that nothing but polls is heard on it.

    `lively` counts the answers after which a chain was heard, `failure` is what went wrong last, "" where nothing did.
    """

    def __init__(
        self,
        polls: Polls,
        chains: Mapping[str, ChainStream],
        pace: Pace,
        fetch: Callable[[Fetch], None],
        tokens: Iterator[int],
        *,
        only: bool,
    ) -> None:
        self.lively = 0
        self.failure = ""
        self.status = ""
        """What the source says of itself, "" where all is well."""
        self._polls = polls
        self._chains = chains
        self._poll_s = pace.poll_s
        self._rest = pace.rest
        self._only = only
        self._fetches = Fetches(self._request, fetch, tokens)
        self._failures: dict[str, str] = {}
        """Why each stream was not heard of late, the newest last."""
        self._heard: dict[str, int] = {}
        """When each chain was last heard (mono_ns)."""

    @property
    def why(self) -> str:
        """Why nothing is heard, as far as it is known."""
        return next(reversed(self._failures.values()), "")

    def ask(self, native: str, mono_ns: int) -> None:
        """Poll it: at once, or after a delay where the last poll did not do."""
        if self._poll_s:
            self._fetches.ask(native, mono_ns)

    def hurry(self, native: str) -> None:
        """Poll it at once: there is news."""
        self._fetches.hurry(native)

    def drop(self, native: str) -> None:
        """It is not wanted any more."""
        self._heard.pop(native, None)

    def forget(self, native: str) -> None:
        """Its unsubscribe is done."""
        self._fetches.forget(native)
        self._failures.pop(native, None)

    def tick(self, mono_ns: int) -> int | None:
        """Poll what is due; returns when the next is, or None."""
        return self._fetches.tick(mono_ns)

    def answered(self, token: int) -> str | None:
        """The stream whose poll this token is, no longer open; None where it is not one."""
        return self._fetches.answered(token)

    def failed(self, native: str, why: str, mono_ns: int) -> bool:
        """No answer, or none of use: ask again later; returns whether that went wrong otherwise than the last time."""
        new, self.failure = why != self.failure, why
        self.unread(native, why, mono_ns)
        return new

    def unread(self, native: str, why: str, mono_ns: int) -> None:
        """An answer could not be read: ask again later."""
        self._fail(native, why)
        self._fetches.ask(native, mono_ns)

    def take(self, native: str, body: bytes, recv_ns: int, mono_ns: int) -> None:
        """An answer; raises ValueError and its like where it cannot be read."""
        chain = self._chains.get(native)
        before = chain.heard() if chain else 0
        again = self._polls.polled(native, body, recv_ns)
        self.failure = ""
        if chain and chain.heard() > before:
            self.lively += 1
            self._failures.pop(native, None)
            chain.flows(recv_ns)
            self._heard[native] = mono_ns
        elif not self._only:
            self._failures.pop(native, None)
        elif not again:
            self._fail(native, self.status or "its answers tell nothing")
        self._fetches.served(native)
        if again:
            self._fetches.ask(native, mono_ns)
        elif self._poll_s:
            self._fetches.ask_at(native, mono_ns + int(self._rhythm_s * SECOND))

    def look(self, mono_ns: int, recv_ns: int) -> None:
        """Tell the chains that are heard no more where others are; of the first data the desk takes care.

        A link on which none is heard dies, and says so itself.
        """
        patience = int((MISSED_POLLS * self._rhythm_s + MARGIN_S) * SECOND)
        lively_at = max(self._heard.values(), default=0)
        for native, heard_at in self._heard.items():
            if lively_at > heard_at and mono_ns - heard_at >= patience:
                reason = f"not heard for {patience / SECOND:g} s"
                why = self._failures.get(native)
                self._chains[native].doubt(f"{reason}: {why}" if why else reason, recv_ns)

    @property
    def _rhythm_s(self) -> float:
        """From an answer to the next poll of its chain: slower where the budget would be spent before its time."""
        calls, seconds = self._rest
        return max(self._poll_s, SPARE * seconds / calls * len(self._chains))

    def _request(self, native: str) -> Request:
        return self._polls.poll(native)  # a decoder of another kind has none, and is never asked

    def _fail(self, native: str, why: str) -> None:
        self._failures.pop(native, None)
        self._failures[native] = why
