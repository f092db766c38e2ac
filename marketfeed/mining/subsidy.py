"""Block subsidies as rules of the height, in base units (satoshi, duff, sompi, wei, ...): exact integers.

A rule answers what a block of a height pays in whole, where it may change next, and what the miner keeps. `height` is
that of the block being paid. Each rule names its source; the node's code is what stands.
"""

from bisect import bisect_right
from functools import cache
from typing import Protocol

import msgspec


class Schedule(Protocol):
    """The subsidy of one coin by height."""

    def subsidy(self, height: int) -> int:
        """What the block pays in whole; raises ValueError where the rule does not know the height."""

    def boundary(self, height: int) -> int | None:
        """The next height after this one at which the subsidy may differ; None where it never does again."""

    def miner(self, subsidy: int) -> int:
        """The part of a subsidy that the miner keeps."""


class _All(msgspec.Struct, frozen=True):
    def miner(self, subsidy: int) -> int:
        """The miner keeps it all."""
        return subsidy


class Halving(_All, frozen=True, kw_only=True):
    """`first >> (height div every)`: BTC, BCH, LTC (validation.cpp:GetBlockSubsidy), RVN (the same)."""

    first: int
    every: int

    def subsidy(self, height: int) -> int:
        """Base units of the whole block; 0 in the end, where the shift has left nothing."""
        return self.first >> height // self.every

    def boundary(self, height: int) -> int:
        """The next multiple of `every`."""
        return (height // self.every + 1) * self.every


class Flat(_All, frozen=True):
    """The same amount for ever: XMR's tail emission."""

    amount: int

    def subsidy(self, height: int) -> int:
        """The amount, whatever the height."""
        return self.amount

    def boundary(self, height: int) -> None:
        """Never."""


class Doge(_All, frozen=True):
    """500,000 halved every 100,000 blocks, 10,000 for ever from 600,000 (dogecoin.cpp:GetDogecoinBlockSubsidy).

    The interval of the years before 600,000 was not checked in chainparams. Before 145,000 the subsidy was drawn from
    the block's hash, so that it has none by height.
    """

    def subsidy(self, height: int) -> int:
        """Base units of the block; raises ValueError below 145,000."""
        if height < 145_000:
            raise ValueError(f"DOGE has no subsidy by height before 145000; asked for {height}")
        return 500_000 * 10**8 >> height // 100_000 if height < 600_000 else 10_000 * 10**8

    def boundary(self, height: int) -> int | None:
        """The next multiple of 100,000, up to 600,000."""
        return (height // 100_000 + 1) * 100_000 if height < 600_000 else None


class Dash(msgspec.Struct, frozen=True):
    """5 DASH less a fourteenth every 210,240 blocks (Dash Core validation.cpp), as it holds since V20.

    20 % of a block is the treasury's; of the rest masternodes take three quarters, rounded down, as of the fees.
    """

    def subsidy(self, height: int) -> int:
        """Duffs of the whole block, treasury included."""
        amount = 5 * 10**8
        for _ in range((height - 1) // 210_240):
            cut = amount // 14
            if not cut:
                break
            amount -= cut
        return amount

    def boundary(self, height: int) -> int | None:
        """The block after the next multiple of 210,240, until a fourteenth is less than a duff."""
        return (max(height - 1, 0) // 210_240 + 1) * 210_240 + 1 if self.subsidy(height) >= 14 else None

    def miner(self, subsidy: int) -> int:
        """A quarter of what the treasury leaves."""
        shared = subsidy - subsidy // 5
        return shared - shared * 3 // 4


class Zec(msgspec.Struct, frozen=True):
    """6.25 ZEC halved every 1,680,000 blocks since Blossom (zcash/zcash consensus/params.cpp).

    Of each block 8 % goes to grants and 12 % to the lockbox or coinholder fund, until 4,406,400. How it is split after
    that is UNCONFIRMED: the same 20 % is taken off here.
    """

    def subsidy(self, height: int) -> int:
        """Zatoshi of the whole block; raises ValueError before Blossom (653,600), which had blocks of 150 s."""
        if height < 653_600:
            raise ValueError(f"ZEC's subsidy is known from block 653600 on; asked for {height}")
        return 625_000_000 >> self._halvings(height)

    def boundary(self, height: int) -> int:
        """The next halving: 1,046,400, 2,726,400, 4,406,400, ..."""
        return (self._halvings(height) + 1) * 1_680_000 - 643_600 * 2 + 653_600

    def miner(self, subsidy: int) -> int:
        """What the two funds leave."""
        return subsidy - subsidy * 8 // 100 - subsidy * 12 // 100

    @staticmethod
    def _halvings(height: int) -> int:
        # blocks of 150 s since the slow start count twice
        return (643_600 * 2 + height - 653_600) // 1_680_000


class Etc(_All, frozen=True):
    """5 ETC, a fifth less every 5,000,000 blocks, in wei (ECIP-1017; core-geth params/mutations/rewards.go).

    Uncles are left out: each one included adds a 32nd to the block, and its own miner gets a 32nd.
    """

    def subsidy(self, height: int) -> int:
        """Wei of the block without uncles."""
        era = max(height - 1, 0) // 5_000_000
        # after 200 eras nothing is left; without the limit a hostile height would cost minutes
        return 5 * 10**18 * 4**era // 5**era if era < 200 else 0

    def boundary(self, height: int) -> int:
        """The first block of the next era."""
        return (max(height - 1, 0) // 5_000_000 + 1) * 5_000_000 + 1


KAS_DEFLATION = 15_519_600
KAS_CRESCENDO = 110_165_000
"""DAA score from which KAS makes ten blocks a second."""
_MONTH_S = 2_629_800
_KAS_MONTHS = 426


@cache
def kas_month_table() -> tuple[int, ...]:
    """Sompi per second by month: floor(440 KAS * 2^(-month/12)), in exact integers.

    They are the 426 of `SUBSIDY_BY_MONTH_TABLE` in kaspanet/rusty-kaspa consensus/src/processes/coinbase.rs.
    """
    first = 440 * 10**8
    # the floor of the twelfth root of first^12 / 2^month, with no float near it
    return tuple(
        bisect_right(range(first + 1), first**12 >> month, key=lambda value: value**12) - 1
        for month in range(_KAS_MONTHS)
    )


class Kas(_All, frozen=True):
    """440 KAS a second, falling every month by a twelfth of a halving; `height` is the DAA score.

    Since Crescendo a block is a tenth of a second's, rounded up (rusty-kaspa `calc_block_subsidy`).
    """

    def subsidy(self, height: int) -> int:
        """Sompi of the block at this DAA score."""
        if height < KAS_DEFLATION:
            return 500 * 10**8
        table = kas_month_table()
        a_second = table[min(self._seconds(height) // _MONTH_S, _KAS_MONTHS - 1)]
        return a_second if height < KAS_CRESCENDO else -(-a_second // 10)

    def boundary(self, height: int) -> int:
        """The DAA score of the next month's first block, or of Crescendo."""
        if height < KAS_DEFLATION:
            return KAS_DEFLATION
        next_s = (self._seconds(height) // _MONTH_S + 1) * _MONTH_S
        if height < KAS_CRESCENDO:
            return min(KAS_DEFLATION + next_s, KAS_CRESCENDO)
        return KAS_CRESCENDO + (next_s - (KAS_CRESCENDO - KAS_DEFLATION)) * 10

    @staticmethod
    def _seconds(height: int) -> int:
        if height < KAS_CRESCENDO:
            return height - KAS_DEFLATION
        return KAS_CRESCENDO - KAS_DEFLATION + (height - KAS_CRESCENDO) // 10


def xmr_subsidy(emitted: int) -> int:
    """Piconero of an XMR block from the supply before it: max(0.6 XMR, (2^64-1 - emitted) >> 19).

    The penalty of a block above the median weight is left out (cryptonote_basic_impl.cpp). Raises ValueError for a
    negative supply.
    """
    if emitted < 0:
        raise ValueError(f"emitted supply {emitted} is negative")
    return max(6 * 10**11, (2**64 - 1 - emitted) >> 19)
