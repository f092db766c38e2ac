"""Network figures for profit: of each coin the best source there is, fail-over, agreement, and how fresh they are.

The first source in order of trust is used while it is fresh. A source is stale where its connection has been down for
some time, where it has lagged behind another for as long, or where no block has come for so long that no chain is
that slow.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, structs

from ..events import Block, Disconnected, Head, Input, NetworkStats, Stale
from .coins import COINS
from .retarget import EPOCH

BLOCKS_SILENT = 18
"""Block times without a block: e^-18, once in twelve hundred years of Bitcoin. A quiet chain is nothing unusual."""
LAG_BLOCKS, LAG_S = 2, 300.0
"""Heights that a source may be behind another; on fast chains as many as come in that time, for some are polled."""
LEAPS = 20
"""Blocks that a chain may be ahead of what a source said, beyond four times what the time allows: more is a lie."""
FAR = 10
"""Times that difficulties of sources differ, whatever their heights, where one of them is of another chain or unit."""
AGREE = 1e-9
"""Relative difference of difficulty at the same height that is none."""


class _Source:
    """What one source said of one coin. `block` is when it told another best block than before (ns), `down` since when
    its connection is lost, `behind` since when it lags; 0 where neither is so."""

    __slots__ = ("behind", "block", "down", "stats", "ts")

    def __init__(self) -> None:
        self.stats: NetworkStats | None = None
        self.ts = 0
        self.block = 0
        self.down = 0
        self.behind = 0

    def moves(self, event: NetworkStats | Block) -> bool:
        """Whether it tells another best block than before, or any after more silence than a quiet chain."""
        if isinstance(event, Block) or self.stats is None or self.stats.height != event.height:
            return True
        return event.ts_recv - self.ts >= _silence_ns(event.symbol)


class Network(Struct, frozen=True):
    """A coin's network now. `stats` None where no source has any that still count; `disagree` names sources."""

    stats: NetworkStats | None
    inputs: tuple[Input, ...]
    disagree: tuple[str, ...]
    complete: bool
    """Whether some source has told figures at some time."""


class Networks:
    """`sources` by coin, the most trusted first. Times are limits in nanoseconds, see `join.Limits`."""

    def __init__(self, sources: Mapping[str, Sequence[str]], down_ns: int, dead_ns: int) -> None:
        self._sources = {coin: {name: _Source() for name in names} for coin, names in sources.items()}
        self._down_ns = down_ns
        self._dead_ns = dead_ns

    def on_event(self, event: Head) -> bool:
        """Take in an event; whether it was of a source of ours."""
        if isinstance(event, NetworkStats | Block):
            source = self._sources.get(event.symbol, {}).get(event.venue)
            if source is None:
                return False
            if source.moves(event):
                source.block = max(source.block, event.ts_recv)
            source.ts = max(source.ts, event.ts_recv)
            source.down = 0
            if isinstance(event, NetworkStats):
                source.stats = event
                self._compare(event.symbol, event.ts_recv)
            return True
        if isinstance(event, Disconnected | Stale):  # what is up again is known by what it tells, and not before
            for coin, of in self._sources.items():
                source = of.get(event.venue)
                if source is not None and event.symbol in ("", coin):  # a link carries them all, a stream is of one
                    source.down = source.down or event.ts_recv
        return False

    def _compare(self, coin: str, now: int) -> None:
        """Note who lags: a source that is asked now and then may do so for a moment."""
        of = [(source, source.stats) for source in self._sources[coin].values() if source.stats is not None]
        block_s = COINS[coin].block_time_s
        for source, stats in of:
            most = stats.height + LEAPS + 4 * (now - source.block) / 1e9 / block_s
            heights = [other.height for one, other in of if not one.down and other.height <= most]
            lags = max(heights, default=0) - stats.height > max(LAG_BLOCKS, LAG_S / block_s)
            source.behind = (source.behind or now) if lags else 0

    def rebase(self, now: int) -> None:
        """The clock was set back: nothing was received after now."""
        for of in self._sources.values():
            for source in of.values():
                source.ts, source.down = min(source.ts, now), min(source.down, now)
                source.block, source.behind = min(source.block, now), min(source.behind, now)

    def edges(self, now: int) -> Iterable[int]:
        """Times after `now` at which a source becomes stale or its figures die, if nothing comes."""
        for coin, of in self._sources.items():
            for source in of.values():
                if source.stats is None:
                    continue
                ends = [source.block + _silence_ns(coin)]
                if source.behind:
                    ends.append(source.behind + self._down_ns)
                if source.down:
                    ends.append(source.down + self._down_ns)
                ends.append(self._death(coin, source))
                yield from (at for at in ends if at > now)

    def network(self, coin: str, now: int) -> Network:
        """The coin's network at a time: the first fresh source, else the first that still counts."""
        of = self._sources[coin]
        inputs: list[Input] = []
        fresh: list[NetworkStats] = []
        old: list[NetworkStats] = []
        for name, source in of.items():
            stats = source.stats
            stale = stats is None or self._old(coin, source, now)
            if stats is not None and now < self._death(coin, source):
                (old if stale else fresh).append(stats)
            inputs.append(
                Input(
                    kind="network",
                    what=coin,
                    source=f"{name}:{coin}:chain",
                    value=stats.difficulty if stats else None,
                    ts=source.ts,
                    age_ms=(now - source.ts) // 1_000_000 if source.ts else 0,
                    stale=stale,
                )
            )
        chosen = next(iter(fresh or old), None)
        if chosen is not None:
            name = f"{chosen.venue}:{coin}:chain"
            inputs = [structs.replace(one, used=one.source == name) for one in inputs]
        return Network(chosen, tuple(inputs), _disagreeing(chosen, fresh), any(s.stats for s in of.values()))

    def _old(self, coin: str, source: _Source, now: int) -> bool:
        if any(since and now - since >= self._down_ns for since in (source.down, source.behind)):
            return True
        return now - source.block >= _silence_ns(coin)

    def _death(self, coin: str, source: _Source) -> int:
        """When the figures of a source that went stale count no more: at the next retarget, if that comes before."""
        stale = min(at for at in (source.down, source.behind, source.block + _silence_ns(coin) - self._down_ns) if at)
        limit = stale + self._dead_ns
        due = source.stats.retarget_ts if source.stats else None
        return min(limit, max(due, stale + self._down_ns)) if due else limit


def _silence_ns(coin: str) -> int:
    return int(max(BLOCKS_SILENT * COINS[coin].block_time_s, 120.0) * 1e9)


def _disagreeing(chosen: NetworkStats | None, fresh: Sequence[NetworkStats]) -> tuple[str, ...]:
    """Fresh sources with another difficulty at the same height, or figures further apart than heights can explain."""
    if chosen is None:
        return ()
    return tuple(
        f"{stats.venue}:{stats.symbol}:chain disagrees"
        for stats in fresh
        if _far(stats, chosen) or (stats.height == chosen.height and _differ(stats, chosen))
    )


def _far(one: NetworkStats, other: NetworkStats) -> bool:
    if one.reward != other.reward and abs(one.height - other.height) > LEAPS:
        return True
    return not 1 / FAR < one.difficulty / other.difficulty < FAR


def _differ(one: NetworkStats, other: NetworkStats) -> bool:
    """Whether two sources at one height cannot both be right.

    One that tells no bits may mean the difficulty of the last block: where every block has its own, or the next is the
    first of an epoch, that is another.
    """
    if one.bits is not None and other.bits is not None:
        return one.bits != other.bits
    if not COINS[one.symbol].retarget or (one.height + 1) % EPOCH == 0:
        return False
    return abs(one.difficulty / other.difficulty - 1) > AGREE
