"""What sources of chains share: conversations over REST, JSON-RPC, and runs of blocks that follow each other."""

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
import orjson
from msgspec import Meta, Struct

from ..subscriptions import Subscription
from ._plan import one_host
from ._spec import ChainBlock, ChainSink, Context, Endpoints, LinkPlan, Pace, Request

T = TypeVar("T")
Call = tuple[str, list[Any] | dict[str, Any]]
"""A method of JSON-RPC and its parameters."""

Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
MaybeHash = Annotated[str, Meta(pattern=r"\A(?:[0-9a-f]{64})?\Z")]

MOST = 20
"""Blocks before a new one that a node is asked for, where it does not follow what was told."""
REORG = 6
"""Blocks at and below the tip that are handed over again, for a reorganisation may have begun there. At first as many
are handed over as history, so that they are known when they come again."""


class Answer(NamedTuple):
    """A body that came with HTTP 200, and where to put what it says."""

    body: bytes
    recv_ns: int
    sink: ChainSink


Conversation = Generator[Request, Answer, T]


class RpcError(ValueError):
    """A node's refusal, in its own words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"RPC error {code}: {message}")
        self.code = code
        self.message = message


class Asking:
    """The part of a decoder that asks over REST; see `_spec.Polls`. A subclass has the `conversation`.

    A conversation that fails, or one of whose calls does, is given up and begun anew.
    """

    BUSY: frozenset[int] = frozenset()
    """Codes with which a node says that it cannot answer yet: no fault."""

    def __init__(self, context: Context[Any]) -> None:
        self._port = context.port
        self._open: dict[str, Conversation[None]] = {}
        self._next: dict[str, Request] = {}
        self._said = ""

    @abstractmethod
    def conversation(self, native: str) -> Conversation[None]:
        """One poll of a stream: at least one request, each followed by its answer."""

    def poll(self, native: str) -> Request:
        """See `_spec.Polls`."""
        request = self._next.pop(native, None)
        if request is None:
            self._open[native] = talk = self.conversation(native)
            request = next(talk)
        return request

    def polled(self, native: str, body: bytes, recv_ns: int) -> bool:
        """See `_spec.Polls`."""
        talk = self._open.pop(native, None)
        sink = self._port.chains.get(native)
        if talk is None or sink is None:
            self._port.unasked(native)
            return False
        try:
            self._next[native] = talk.send(Answer(body, recv_ns, sink))
            self._open[native] = talk
        except StopIteration:
            return False
        except RpcError as exc:
            if exc.code not in self.BUSY:
                raise
            self._say("warming up", exc.message)
            return False
        return True

    def glance(self, frames: Sequence[bytes]) -> None:
        """See `_spec.Decoder`; every number here is bounded by its type."""

    def suspects(self, raw: bytes) -> Sequence[str] | None:
        """See `_spec.Decoder`; there are no books here."""
        return []

    def _forget(self, native: str) -> None:
        self._open.pop(native, None)
        self._next.pop(native, None)

    def _say(self, status: str, detail: str = "") -> None:
        """Tell what the source says of itself, once until it says something else."""
        if status != self._said:
            self._said = status
            self._port.status(status, detail)

    def _well(self) -> None:
        if self._said:
            self._said = ""
            self._port.status("online")

    def _wrong_chain(self, found: str, right: str) -> ValueError:
        words = f"the node is on chain {found[:40]!r}, not {right}"
        self._say("error", words)
        return ValueError(words)


class Polled(Asking):
    """A decoder of a source that is asked over REST alone; see `_spec.Decoder`."""

    def frame(self, raw: bytes, recv_ns: int) -> None:
        """See `_spec.Decoder`; nothing is ever sent to us unasked."""
        raise ValueError("a frame on a link without a URL")

    def subscribe(self, add: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`; there is nobody to send it to."""
        for subscription, native in add:
            self._port.accepted(subscription.channel, native)
        return []

    def unsubscribe(self, drop: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`."""
        for subscription, native in drop:
            self._forget(native)
            self._port.dropped(subscription.channel, native)
        return []

    def ping(self) -> str | None:
        """See `_spec.Decoder`."""
        return None


def polling_plan(endpoints: Endpoints, wanted: Sequence[Subscription], pace: Pace) -> list[LinkPlan]:
    """A link without a URL: REST alone."""
    return one_host("", wanted, pace)


def joined(blocks: Iterable[ChainBlock]) -> list[ChainBlock]:
    """Those that follow each other up to the highest, ascending; of two with one height the later one counts."""
    by_height = {block.height: block for block in blocks}
    run: list[ChainBlock] = []
    for height in sorted(by_height, reverse=True):
        block = by_height[height]
        if run and (height != run[-1].height - 1 or run[-1].prev_hash not in ("", block.hash)):
            break
        run.append(block)
    return run[::-1]


class Trail:
    """The newest blocks handed over on this connection, to know whether a new one follows them."""

    def __init__(self) -> None:
        self._hashes: deque[str] = deque(maxlen=100)

    @property
    def last(self) -> str:
        """Hash of the best block handed over, "" before the first."""
        return self._hashes[-1] if self._hashes else ""

    def missing(self, block: ChainBlock, tip: int) -> range:
        """Heights to ask for so that `block` follows what was told, none where it does."""
        if block.hash in self._hashes or block.prev_hash in self._hashes:
            return range(0)
        told = min(tip, block.height) if tip else block.height
        return range(max(told - REORG, block.height - MOST, 1), block.height)

    def hand(self, blocks: Sequence[ChainBlock], answer: Answer) -> None:
        """Hand over the end of the chain of this one node, best last."""
        fresh = from_tip(blocks, answer.sink)
        if fresh:
            answer.sink.blocks(fresh, answer.recv_ns, whole=True)
        self._hashes.extend(block.hash for block in blocks)


def from_tip(blocks: Sequence[ChainBlock], sink: ChainSink) -> list[ChainBlock]:
    """Those that are news or `REORG` below; none where the source is further behind than a reorganisation goes."""
    return [block for block in blocks if block.height >= sink.tip - REORG or not sink.behind(block.height)]


class WError(Struct):
    """{"code":-28,"message":"Loading block index..."}"""

    code: int = 0
    message: str | None = None


class WReply(Struct):
    """{"jsonrpc":"2.0","id":0,"result":{...}}, or with an `error`; nodes before JSON-RPC 2.0 send both, one null."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: WError | None = None


_one = msgspec.json.Decoder(WReply).decode
_many = msgspec.json.Decoder(list[WReply]).decode


def rpc(path: str, calls: Call | list[Call]) -> Request:
    """One call, or a list of calls in one request, which is answered with HTTP 200 whatever each of them gives.

    A single call that bitcoind refuses is answered with HTTP 500, where nobody reads the words.
    """
    listed = calls if isinstance(calls, list) else [calls]
    said = [{"jsonrpc": "2.0", "id": i, "method": method, "params": p} for i, (method, p) in enumerate(listed)]
    body = orjson.dumps(said if isinstance(calls, list) else said[0])
    return Request(path, method="POST", headers={"Content-Type": "application/json"}, body=body)


def read_reply(body: bytes) -> WReply:
    """The answer to one call."""
    return _one(body)


def read_replies(body: bytes, count: int) -> list[WReply]:
    """The answers to so many calls, in their order. Raises ValueError where one is missing."""
    try:
        found = _many(body)
    except msgspec.ValidationError:
        take(_one(body), bytes)  # an error instead of the batch says why
        raise
    by_id = {answer.id: answer for answer in found}
    if len(found) != count or by_id.keys() != set(range(count)):
        raise ValueError(f"{count} calls were made and {len(found)} answered, or others")
    return [by_id[number] for number in range(count)]


def take(answer: WReply, read: Callable[[msgspec.Raw], T]) -> T:
    """A result. Raises RpcError where there is an error in its place."""
    if answer.error is not None:
        raise RpcError(answer.error.code, (answer.error.message or "")[:200])
    return read(answer.result)
