"""`ChainTalk`: a conversation with a source of chains, against a port and sinks that keep what they are told."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import ChainBlock, Context, Request, Venue

SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND
FAR = 600
"""Heights below the tip that a server of several may be behind."""

BAD_BODIES = [
    b"",
    b"{",
    b"null",
    b"5",
    b"<html><body>502 Bad Gateway</body></html>",
    b'{"":' + b"[" * 100_000,
    b"[" * 100_000,
]
"""P01, P02: what is no JSON, or no object."""


def block_hash(height: int, fork: str = "") -> str:
    """A made-up hash of a block, another one on a fork."""
    return f"{fork or '0'}{height:063x}"


class Sink:
    """Keeps what it is told; `refuse` is raised instead where it is set."""

    def __init__(self, tip: int = 0) -> None:
        self.tip = tip
        self.runs: list[list[ChainBlock]] = []
        self.said: list[dict[str, Any]] = []
        self.refuse: ValueError | None = None

    def behind(self, height: int) -> bool:
        return self.tip - FAR <= height < self.tip

    def blocks(self, blocks: Sequence[ChainBlock], ts_recv: int, *, whole: bool = False) -> None:
        if self.refuse:
            raise self.refuse
        assert blocks
        assert ts_recv
        heights = [b.height for b in blocks]
        assert heights == list(range(heights[0], heights[0] + len(heights)))
        assert all(b.prev_hash in ("", a.hash) for a, b in pairwise(blocks))
        self.runs.append(list(blocks))
        self.tip = heights[-1]

    def network(self, ts_recv: int, **said: Any) -> None:
        assert ts_recv
        self.said.append({name: value for name, value in said.items() if value not in (None, 0)})

    @property
    def heights(self) -> list[list[int]]:
        """Heights of each run."""
        return [[b.height for b in run] for run in self.runs]


class Port:
    """Keeps what a decoder calls; `counts` of frames that were no data."""

    def __init__(self, chains: Mapping[str, Sink]) -> None:
        self.chains = dict(chains)
        self.polls: list[str] = []
        self.told: list[tuple[str, ...]] = []
        self.statuses: list[tuple[str, str]] = []
        self.counts = {"control": 0, "unasked": 0, "drift": 0}

    def poll(self, native: str) -> None:
        self.polls.append(native)

    def accepted(self, channel: str, native: str, depth: int = 0) -> None:
        self.told.append(("accepted", channel, native))

    def dropped(self, channel: str, native: str) -> None:
        self.told.append(("dropped", channel, native))

    def status(self, status: str, detail: str = "") -> None:
        self.statuses.append((status, detail))

    def control(self) -> None:
        self.counts["control"] += 1

    def unasked(self, native: str) -> None:
        self.counts["unasked"] += 1

    def drift(self, what: str, raw: bytes) -> None:
        self.counts["drift"] += 1
        self.told.append(("drift", what))


class ChainTalk:
    """A decoder of one venue, about one coin; every answer and frame comes a second after what was before it."""

    def __init__(self, venue: Venue, coin: str = "", tip: int = 0) -> None:
        self.coin = coin or venue.coins[0]
        self.sink = Sink(tip)
        self.port = Port({self.coin: self.sink})
        self.now = NOW
        self.pairs = [(Subscription(venue.name, self.coin, "chain"), self.coin)]
        self.decoder: Any = venue.decoder(Context(port=self.port, exact=False, instruments={}))  # type: ignore[arg-type]

    def frame(self, *frames: Any) -> Self:
        """Frames come: dicts as JSON, str and bytes as they are."""
        for frame in frames:
            self.now += SECOND
            self.decoder.glance([_raw(frame)])
            self.decoder.frame(_raw(frame), self.now)
        return self

    def ask(self) -> Request:
        """The next call."""
        request: Request = self.decoder.poll(self.coin)
        return request

    def answer(self, body: Any) -> bool:
        """It is answered; returns whether another call is to be made at once."""
        self.now += SECOND
        again: bool = self.decoder.polled(self.coin, _raw(body), self.now)
        return again

    def serve(self, node: Callable[[Request], Any], most: int = 20) -> list[Request]:
        """One whole conversation, answered by `node`; returns the calls."""
        asked: list[Request] = []
        while len(asked) < most:
            asked.append(self.ask())
            if not self.answer(node(asked[-1])):
                return asked
        raise AssertionError(f"still asking after {most} calls")


def rpc_node(methods: Mapping[str, Any]) -> Callable[[Request], Any]:
    """A JSON-RPC node: results by method, or functions of the parameters; `RpcRefusal` in place of one."""

    def one(call: Any) -> Any:
        result = methods.get(call["method"], RpcRefusal(-32601, "Method not found"))
        if callable(result):
            result = result(*call["params"]) if isinstance(call["params"], list) else result(**call["params"])
        if isinstance(result, RpcRefusal):
            return {"result": None, "error": {"code": result.code, "message": result.message}, "id": call["id"]}
        return {"result": result, "error": None, "id": call["id"]}

    def serve(request: Request) -> Any:
        assert request.method == "POST"
        assert request.headers["Content-Type"] == "application/json"
        said = json.loads(request.body)
        return [one(call) for call in reversed(said)] if isinstance(said, list) else one(said)

    return serve


class RpcRefusal(NamedTuple):
    """An error of a node."""

    code: int
    message: str


def methods(requests: Sequence[Request]) -> list[str]:
    """Names of what was called, each name once a request."""
    names = []
    for request in requests:
        said = json.loads(request.body)
        calls = said if isinstance(said, list) else [said]
        names.append("+".join(dict.fromkeys(call["method"] for call in calls)))
    return names


def _raw(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()
