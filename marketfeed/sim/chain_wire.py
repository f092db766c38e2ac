"""What the dialects of the chain's sources share: a request with its body, and who is told of new blocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from .chain_block import SimBlock
from .chain_view import ChainView
from .faults import Troubles
from .market import Step
from .wire import Conversation, Dialect, Now, Out, Reply


class Call(msgspec.Struct, frozen=True):
    """An HTTP request; `authorization` is that header, "" where there is none."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    authorization: str = ""
    body: bytes = b""


class ChainConversation(Conversation):
    """One client's WebSocket at a source."""

    def on_step(self, step: Step, now: Now) -> list[Out]:
        """A chain has no markets."""
        return []

    @abstractmethod
    def on_news(self, news: Sequence[SimBlock | None], now: Now) -> list[Out]:
        """What `ChainView.follow()` had to tell."""


class ChainDialect(Dialect):
    """A source's protocol; it tells what its view shows."""

    SOCKET: ClassVar[bool] = True
    """Whether it has a WebSocket."""

    def __init__(self, view: ChainView, troubles: Troubles, *, by_hand: bool) -> None:
        super().__init__({}, troubles, by_hand=by_hand)
        self.view = view
        self.conduct = view.conduct

    def connect(self, path: str, query: Mapping[str, str], now: Now) -> Conversation | Reply:
        """No WebSocket, unless a dialect says otherwise."""
        return Reply(404, b"Not Found", {"Content-Type": "text/plain"})

    def rest(self, method: str, path: str, query: Mapping[str, str], now: Now) -> Reply:
        """A request without a body."""
        return self.call(Call(method, path, query), now)

    @abstractmethod
    def call(self, call: Call, now: Now) -> Reply:
        """Answer an HTTP request."""

    def seconds(self, now: Now) -> float:
        """Unix seconds: the chain's time where it is moved by hand."""
        return self.view.chain.now if self.by_hand else max(now.unix / 1e9, self.view.chain.now)
