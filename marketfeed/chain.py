"""`ChainStream`: a coin's chain as one source tells it: each block once, reorgs and holes told, network figures kept.

Formulas are those of `mining`. A source proves little: what no chain can be is refused (ValueError), and what two
sources say is compared where they are joined. Blocks and figures change together: the reason for its length.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from .chain_check import LATEST_NS, Heights, Steps, check_block, check_run, check_said, difficulty_of, filling
from .chain_fees import BELIEVED_NS, Fees
from .events import Block, NetworkStats
from .mining.coins import Coin, coin
from .mining.compact import difficulty_from_bits
from .mining.economics import network_hashrate
from .mining.retarget import EPOCH, WINDOW, change_percent, forecast, next_bits
from .outlet import Outlet, Stream
from .pace import SECOND
from .subscriptions import Subscription
from .venues._spec import ChainBlock

KEPT = 600
"""Heights remembered below the tip: what is older is history, and no reorg goes there."""
EARLY = 100
"""Blocks of an epoch before which its own pace says little: 10 % either way is luck."""
REST_NS = 60 * SECOND
"""Between two events where nothing but estimates moved."""


class Epoch(Struct, frozen=True):
    """The epoch's first height, and the time its span is measured from (Unix seconds); `exact` where that is sure."""

    first: int = -1
    start_s: int = 0
    exact: bool = False


class ChainStream(Stream):
    """See the module's docstring, and `ChainSink` for what a decoder calls."""

    __slots__ = (
        "_coin",
        "_epoch",
        "_fees",
        "_forecast_at",
        "_heard",
        "_heights",
        "_said",
        "_stats",
        "_steps",
        "_told",
        "duplicates",
        "tip",
    )

    def __init__(self, subscription: Subscription, outlet: Outlet) -> None:
        super().__init__(subscription, outlet)
        self.tip = 0
        self.duplicates = 0
        self._coin: Coin = coin(subscription.symbol)
        self._told: dict[int, ChainBlock] = {}
        self._said: dict[str, Any] = {}
        """What the source says of the next block, as in `network`."""
        self._fees = Fees()
        self._forecast_at = 0
        """When the source's forecast was said last."""
        self._steps = Steps(epochs=bool(self._coin.retarget))
        self._heights = Heights(self._coin.block_time_s, KEPT)
        self._epoch = Epoch()
        self._stats: NetworkStats | None = None
        self._heard = 0

    def figures(self, ts_recv: int) -> NetworkStats | None:
        """The newest figures as an event of now, for who comes late.

        None before the first, and while they are lost or in doubt.
        """
        stats = self._stats
        return (
            None
            if stats is None or not stats.ts_recv
            else structs.replace(stats, ts_recv=ts_recv, seq_local=self._number())
        )

    def heard(self) -> int:
        """See `Stream.heard`; a chain without a new block is heard too."""
        return self._heard

    def lost(self, cause: Any, ts_recv: int, detail: str = "") -> None:
        """See `Stream.lost`; nothing is missing yet: blocks that are, show by their heights.

        The figures are told again with the first that is heard then, changed or not: the source is back.
        """
        if self._stats is not None:
            self._stats = structs.replace(self._stats, ts_recv=0)

    def doubt(self, reason: str, ts_recv: int) -> None:
        """See `Stream.doubt`; the figures are told again as where it is lost."""
        super().doubt(reason, ts_recv)
        self.lost("silent", ts_recv, reason)

    def rest(self) -> None:
        """See `Stream.rest`."""
        super().rest()
        self._forget()

    def behind(self, height: int) -> bool:
        """See `ChainSink`."""
        return self._heights.behind(height, self.tip)

    def _forget(self) -> None:
        self.tip = 0
        self._told.clear()
        self._said.clear()
        self._fees = Fees()
        self._steps = Steps(epochs=bool(self._coin.retarget))
        self._epoch = Epoch()
        self._stats = None

    def blocks(self, blocks: Sequence[ChainBlock], ts_recv: int, *, whole: bool = False) -> None:
        """See `ChainSink`."""
        for block in blocks:
            check_block(block, ts_recv)
        check_run(blocks)
        self._check_height(blocks[-1].height, ts_recv)
        mended = self._check_step([difficulty_of(b) for b in blocks if abs(b.height - self.tip) < EPOCH])
        self._heard += 1
        if not self.tip:
            self._told = {b.height: b for b in blocks[:-1]}
            blocks = blocks[-1:]
        known = self._told
        lowest = min(known, default=0)
        fresh = [b for b in blocks if b.height >= lowest and (b.height not in known or known[b.height].hash != b.hash)]
        missed = filling(blocks, known)
        wrong = next((b.height for b in fresh if b.height in known), None)
        if wrong is not None:
            # `orphans` speaks of all above: what is still true of that, above a hole, is told anew
            after = [*blocks, *(() if whole else self._above(blocks[-1]))]
            fresh = [*(b for b in fresh if b.height < wrong), *(b for b in after if b.height >= wrong)]
            missed = [b for b in missed if b.height < wrong]
        for block in fresh:
            if block in missed:
                known[block.height] = block
                self._tell_block(block, 0, ts_recv)
            else:
                self._take(block, ts_recv)
        known |= {b.height: b for b in blocks if b.height < lowest or (mended and b not in fresh)}
        best = blocks[-1]
        back = whole and lowest <= best.height < self.tip
        if back:
            self._step_back(best, ts_recv)
        if fresh or back:
            for height in sorted(self._told)[:-KEPT]:
                del self._told[height]
            self._tell_stats(ts_recv, news=True)
            return
        self.duplicates += 1
        if self._stats is None or not self._stats.ts_recv:
            self._tell_stats(ts_recv)

    def network(
        self, ts_recv: int, *, height: int | None = None, epoch_start_s: int | None = None, **said: Any
    ) -> None:
        """See `ChainSink`."""
        given = {name: value for name, value in said.items() if value is not None}
        if "bits" in given:
            given["difficulty"] = difficulty_from_bits(given["bits"])
        check_said(height, epoch_start_s, given, ts_recv)
        if height is not None and not self._told:
            self._check_height(height, ts_recv)
        if "difficulty" in given:
            self._check_step([given["difficulty"]])
        self._heard += 1
        if height is not None and not self._told and height != self.tip:  # of a source that tells no blocks
            if height // EPOCH != self.tip // EPOCH:
                self._forget_forecast()
            self.tip = height
        if epoch_start_s is not None and self.tip:
            first = self.tip - self.tip % EPOCH
            began = self._told.get(first - (self._coin.retarget == "ltc"))
            if began is None or began.time_s == epoch_start_s:
                self._epoch = Epoch(first, epoch_start_s, exact=True)
            else:  # an answer that was kept for a while, and is of the epoch before
                given.pop("retarget_change", None)
                given.pop("retarget_ts", None)
        if "fees" in given:
            self._fees.say(given.pop("fees"), ts_recv)
        if "retarget_change" in given:
            self._forecast_at = ts_recv
        if "hashrate" not in given:
            given.pop("hashrate_blocks", None)
        self._said.update(given)
        self._tell_stats(ts_recv)

    def _check_height(self, height: int, ts_recv: int) -> None:
        """Begin anew where this is the third that shows the tip to be wrong; see `Heights`."""
        self._coin.miner_subsidy(height + 1)  # raises where it is not known
        if self._heights.check(height, self.tip, ts_recv):
            self._forget()
            self.gap("blocks", ts_recv, detail=f"heights begin anew at {height}")

    def _check_step(self, difficulties: Sequence[float]) -> bool:
        """Whether what was believed is given up for these; see `Steps`."""
        known = self._stats
        if known is None or not self._steps.check(difficulties, known.difficulty):
            return False
        self._stats = None
        self._forget_difficulty()
        return True

    def _forget_difficulty(self) -> None:
        """What was said of the next block is not said of the one after."""
        self._said.pop("difficulty", None)
        self._said.pop("bits", None)

    def _forget_forecast(self) -> None:
        self._said.pop("retarget_change", None)
        self._said.pop("retarget_ts", None)

    def _take(self, block: ChainBlock, ts_recv: int) -> None:
        orphans = self._leave(block, ts_recv) if self.tip else 0
        self._told[block.height] = block
        self.tip = block.height
        self._forget_difficulty()
        if block.height % EPOCH == 0:
            self._forget_forecast()
            start = block if self._coin.retarget == "btc" else self._told.get(block.height - 1)
            self._epoch = Epoch(block.height, (start or block).time_s, exact=start is not None)
        self._tell_block(block, orphans, ts_recv)

    def _above(self, block: ChainBlock) -> list[ChainBlock]:
        """The known blocks above this one, ascending; none where they do not build on it."""
        after = self._told.get(block.height + 1)
        if after is None or after.prev_hash != block.hash:
            return []
        return [self._told[height] for height in sorted(self._told) if height > block.height]

    def _step_back(self, best: ChainBlock, ts_recv: int) -> None:
        """The source has no blocks above this one any more."""
        orphans = self.tip - best.height
        for height in [h for h in self._told if h > best.height]:
            del self._told[height]
        self.tip = best.height
        self._forget_difficulty()
        self._tell_block(best, orphans, ts_recv)

    def _leave(self, block: ChainBlock, ts_recv: int) -> int:
        """Forget what this block replaces, tell what is missing before it; returns the number of orphans."""
        last = min(block.height - 1, self.tip)
        below = self._told.get(block.height - 1)
        if below is not None and block.prev_hash not in ("", below.hash):
            last = block.height - 2  # its parent was replaced too, by one that has not been told
        orphans = self.tip - last
        for height in [h for h in self._told if h > last]:
            del self._told[height]
        if block.height > last + 1:
            self.gap("blocks", ts_recv, from_seq=last + 1, to_seq=block.height - 1)
        return orphans

    def _tell_block(self, block: ChainBlock, orphans: int, ts_recv: int) -> None:
        self.ts_recv = ts_recv
        self.events += 1
        self.tell(
            Block,
            ts_recv,
            ts_event=block.time_s * SECOND,
            height=block.height,
            hash=block.hash,
            prev_hash=block.prev_hash,
            difficulty=difficulty_of(block),
            bits=block.bits,
            subsidy=block.subsidy,
            fees=block.fees,
            orphans=orphans,
        )

    def _tell_stats(self, ts_recv: int, *, news: bool = False) -> None:
        """Tell the figures where they moved, and always where there is news: a block."""
        stats = self._measure(ts_recv)
        if stats is None:
            return
        known = self._stats
        if known is not None and not news and 0 <= ts_recv - known.ts_recv < REST_NS:
            same = {n: getattr(known, n) for n in ("hashrate", "hashrate_blocks", "ts_recv")}
            if known.retarget_change is not None:
                same |= {"retarget_change": known.retarget_change, "retarget_ts": known.retarget_ts}
            if structs.replace(stats, **same) == known:
                return
        self._stats = stats
        self.events += 1
        self.ts_recv = ts_recv
        self._emit(structs.replace(stats, seq_local=self._number()))

    def _measure(self, ts_recv: int) -> NetworkStats | None:
        said, chain, tip = self._said, self._coin, self.tip
        block = self._told.get(tip)
        bits = said.get("bits", block.bits if block else None)
        exact = self._locked_in()
        difficulty = said.get("difficulty", difficulty_of(block) if block else None)
        if exact is not None and "bits" not in said:
            bits, difficulty = exact, difficulty_from_bits(exact)
        if difficulty is None or not tip:
            return None
        change = chain.next_subsidy_change(tip)
        fees, fees_blocks = self._fees.mean(self._told, tip, ts_recv)
        return NetworkStats(
            venue=self.venue,
            symbol=self.symbol,
            ts_recv=ts_recv,
            height=tip,
            difficulty=difficulty,
            bits=bits,
            hashrate=said.get("hashrate") or network_hashrate(chain, difficulty),
            hashrate_blocks=said.get("hashrate_blocks", 0) if "hashrate" in said else 0,
            reward=chain.miner_subsidy(tip + 1),
            fees=None if fees is None else fees * chain.miner_fee_share,
            fees_blocks=fees_blocks,
            epoch_blocks=tip % EPOCH + 1 if chain.retarget else None,
            retarget_height=tip - tip % EPOCH + EPOCH if chain.retarget else None,
            next_bits=exact,
            subsidy_height=change[0] if change else None,
            next_subsidy=change[1] if change else None,
            **self._forecast(ts_recv),
        )

    def _locked_in(self) -> int | None:
        """The next epoch's bits, once its last block but none of it is there."""
        block, epoch = self._told.get(self.tip), self._epoch
        if not self._coin.retarget or block is None or block.bits is None or self.tip % EPOCH != EPOCH - 1:
            return None
        if not epoch.exact or epoch.first != self.tip - EPOCH + 1:
            return None
        return next_bits(self._coin, block.bits, epoch.start_s, block.time_s)

    def _forecast(self, ts_recv: int) -> dict[str, Any]:
        said, tip, epoch = self._said, self.tip, self._epoch
        self._forecast_at = min(self._forecast_at, ts_recv)  # the clock may have been set back
        if "retarget_change" in said and ts_recv - self._forecast_at < BELIEVED_NS:
            return {"retarget_change": said["retarget_change"], "retarget_ts": said.get("retarget_ts")}
        block = self._told.get(tip)
        if not self._coin.retarget or epoch.first != tip - tip % EPOCH or block is None:
            return {}
        before = self._told.get(epoch.first - 1)
        window = self._told.get(tip - WINDOW - (self._coin.retarget == "ltc"))
        if tip - epoch.first < EARLY and (window is None or before is None):
            return {}
        seen = forecast(
            self._coin,
            tip,
            start_time_s=epoch.start_s,
            now_s=ts_recv // SECOND,
            tip_time_s=block.time_s,
            window_time_s=window.time_s if window else None,
            previous_change_percent=_change(before, block),
        )
        at = seen.estimated_retarget_ms * 1_000_000
        return {"retarget_change": seen.change_percent, "retarget_ts": at if at <= LATEST_NS else None}


def _change(before: ChainBlock | None, block: ChainBlock) -> float:
    """Percent by which the last retarget changed difficulty; 0 where that is not known."""
    if before is None or before.bits is None or block.bits is None:
        return 0.0
    return change_percent(before.bits, block.bits)
