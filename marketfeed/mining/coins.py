"""The coins: what one unit of difficulty means, how fast blocks come, and what they pay. Data, not behaviour.

`hashes_per_difficulty` (K) is the classic trap: ETC and RVN are both mined on GPUs, and their K differ by 2^32. So it
stands here for every coin, from that coin's own node, and is never derived from the algorithm.
Sources of each figure: the coin's reference node, as named in `subsidy.py` and beside K below.
"""

import re
from typing import Literal

import msgspec

from ..errors import ConfigError, nearest
from .subsidy import Dash, Doge, Etc, Flat, Halving, Kas, Schedule, Zec

_2_32 = float(2**32)


class Coin(msgspec.Struct, frozen=True, kw_only=True):
    """A coin that is mined.

    `algorithm` is as in `SHA-256d`; `hashes_per_difficulty` the expected hashes (Equihash: solutions) for a block at
    difficulty 1; `block_time_s` the time between blocks that the chain aims at; `base_units` those of one coin;
    `hash_unit` how people quote rigs of it; `retarget` the dated difficulty rule, "" where difficulty follows every
    block; `miner_fee_share` the part of transaction fees the miner keeps; `merged_with` the parents whose hashes also
    count here (AuxPoW).
    """

    code: str
    name: str
    algorithm: str
    hashes_per_difficulty: float
    block_time_s: float
    hash_unit: str
    schedule: Schedule
    base_units: int = 10**8
    retarget: Literal["btc", "ltc", ""] = ""
    miner_fee_share: float = 1.0
    merged_with: tuple[str, ...] = ()

    def subsidy(self, height: int) -> int:
        """Base units that the block at `height` pays in whole, without fees; KAS counts heights as DAA score.

        Raises ValueError for a negative height, or one the schedule does not know.
        """
        return self.schedule.subsidy(_height(height))

    def miner_subsidy(self, height: int) -> int:
        """Base units of the subsidy that the miner keeps (DASH and ZEC: a part); raises as `subsidy` does."""
        return self.schedule.miner(self.subsidy(height))

    def next_subsidy_change(self, height: int) -> tuple[int, int] | None:
        """(height, new whole subsidy) of the first later block that pays something else, or None.

        Raises as `subsidy` does.
        """
        now = self.subsidy(height)
        later = self.schedule.boundary(height)
        while now and later is not None:
            then = self.schedule.subsidy(later)
            if then != now:
                return later, then
            later = self.schedule.boundary(later)
        return None


class Countdown(msgspec.Struct, frozen=True, kw_only=True):
    """The next change of a subsidy: `new_subsidy` in base units, `eta_unix_s` at the chain's aimed block time."""

    blocks_left: int
    height: int
    new_subsidy: int
    eta_unix_s: float


def halving(coin: Coin, height: int, now_unix_s: float) -> Countdown | None:
    """When the subsidy changes next, seen from the tip at `height`: now + (change - tip) * block time.

    None where it never changes again. Raises ValueError as `Coin.subsidy` does.
    """
    change = coin.next_subsidy_change(height)
    if change is None:
        return None
    left = change[0] - height
    eta = now_unix_s + left * coin.block_time_s
    return Countdown(blocks_left=left, height=change[0], new_subsidy=change[1], eta_unix_s=eta)


def coin(code: str) -> Coin:
    """The coin of a code as people type it; raises ConfigError, with the nearest that is known."""
    found = COINS.get(code.strip().upper())
    if found is None:
        hint = nearest(code.strip().upper(), COINS) or f"; there are {', '.join(COINS)}"
        raise ConfigError(f"no coin to mine is called {code[:20]!r}{hint}")
    return found


def parse_coins(text: str) -> tuple[Coin, ...]:
    """Coins mined at the same time by the same hashes: `LTC+DOGE`; the parent comes first in what is returned.

    Raises ConfigError for unknown or repeated coins, different algorithms, or chains that do not accept each other's
    work.
    """
    coins = [coin(code) for code in text.split("+")]
    if len({one.code for one in coins}) < len(coins):
        raise ConfigError(f"{text[:60]!r} names a coin twice")
    odd = next((one for one in coins if one.algorithm != coins[0].algorithm), None)
    if odd is not None:
        raise ConfigError(
            f"{coins[0].code} is mined with {coins[0].algorithm} and {odd.code} with {odd.algorithm}: "
            "one rig cannot mine both; ask for each by itself"
        )
    for parent in coins:
        children = [one for one in coins if one is not parent]
        if all(parent.code in child.merged_with for child in children):
            return parent, *children
    raise ConfigError(f"{'+'.join(one.code for one in coins)}: these chains do not accept each other's work")


def algorithm(text: str) -> str:
    """The name used here of an algorithm as people type it: `sha256` is `SHA-256d`.

    Raises ConfigError, with the nearest that is known.
    """
    found = _ALGORITHMS.get(_plain(text))
    if found is None:
        hint = nearest(_plain(text), _ALGORITHMS)
        raise ConfigError(f"no algorithm is called {text[:30]!r}{hint}; there are {', '.join(_NAMES)}")
    return found


def _height(height: int) -> int:
    if height < 0:
        raise ValueError(f"height {height} is negative")
    return height


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_BTC_RULE = Halving(first=50 * 10**8, every=210_000)
COINS: dict[str, Coin] = {
    one.code: one
    for one in (
        Coin(
            code="BTC",
            name="Bitcoin",
            algorithm="SHA-256d",
            hashes_per_difficulty=_2_32,  # difficulty 1 is the target 0xffff * 2^208
            block_time_s=600,
            hash_unit="TH/s",
            schedule=_BTC_RULE,
            retarget="btc",
        ),
        Coin(
            code="BCH",
            name="Bitcoin Cash",
            algorithm="SHA-256d",
            hashes_per_difficulty=_2_32,
            block_time_s=600,
            hash_unit="TH/s",
            schedule=_BTC_RULE,
        ),
        Coin(
            code="LTC",
            name="Litecoin",
            algorithm="Scrypt",
            hashes_per_difficulty=_2_32,  # pools' share difficulty is 65536 times that of the chain
            block_time_s=150,
            hash_unit="MH/s",
            schedule=Halving(first=50 * 10**8, every=840_000),
            retarget="ltc",
        ),
        Coin(
            code="DOGE",
            name="Dogecoin",
            algorithm="Scrypt",
            hashes_per_difficulty=_2_32,
            block_time_s=60,
            hash_unit="MH/s",
            schedule=Doge(),
            merged_with=("LTC",),
        ),
        Coin(
            code="DASH",
            name="Dash",
            algorithm="X11",
            hashes_per_difficulty=_2_32,  # Dash Core ConvertBitsToDouble: 0xffff and shift 29
            block_time_s=150,
            hash_unit="GH/s",
            schedule=Dash(),
            miner_fee_share=0.25,
        ),
        Coin(
            code="ZEC",
            name="Zcash",
            algorithm="Equihash",
            hashes_per_difficulty=2**32 / 0x7FFFF,  # zcash divides by its own limit, compact 0x1f07ffff
            block_time_s=75,
            hash_unit="kSol/s",
            schedule=Zec(),
        ),
        Coin(
            code="RVN",
            name="Ravencoin",
            algorithm="KawPow",
            hashes_per_difficulty=_2_32,  # Ravencoin rpc/blockchain.cpp: 0xffff and shift 29
            block_time_s=60,
            hash_unit="MH/s",
            schedule=Halving(first=5000 * 10**8, every=2_100_000),
        ),
        Coin(
            code="ETC",
            name="Ethereum Classic",
            algorithm="Etchash",
            hashes_per_difficulty=1.0,  # a header's difficulty is the expected hashes
            block_time_s=13,
            base_units=10**18,
            hash_unit="MH/s",
            schedule=Etc(),
        ),
        Coin(
            code="XMR",
            name="Monero",
            algorithm="RandomX",
            hashes_per_difficulty=1.0,  # monerod: difficulty is the expected hashes
            block_time_s=120,
            base_units=10**12,
            hash_unit="kH/s",
            schedule=Flat(6 * 10**11),  # the tail; for blocks before it see `subsidy.xmr_subsidy`
        ),
        Coin(
            code="KAS",
            name="Kaspa",
            algorithm="kHeavyHash",
            hashes_per_difficulty=2.0,  # difficulty is (2^255-1)/target, per block at ten a second
            block_time_s=0.1,
            hash_unit="TH/s",
            schedule=Kas(),
        ),
    )
}
"""Every coin by its code."""
_NAMES = tuple(dict.fromkeys(one.algorithm for one in COINS.values()))
_ALGORITHMS = {_plain(name): name for name in _NAMES} | {"sha256": "SHA-256d", "equihash2009": "Equihash"}
