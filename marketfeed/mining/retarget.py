"""The next difficulty of Bitcoin and Litecoin: the exact rule, and the forecast inside an epoch.

Both change every 2016 blocks (an epoch), at heights divisible by 2016, by at most four times. Bitcoin measures from the
epoch's first block to its last, which is 2015 intervals; Litecoin from the last block of the epoch before, which is
2016, but for its first epoch. `start_time_s` means that block's time: the one the chain measures from.
"""

from math import floor, sqrt

import msgspec

from ..errors import ConfigError
from .coins import COINS, Coin
from .compact import bits_from_target, target_from_bits

EPOCH = 2016
WINDOW = 503
"""Blocks of an epoch before which its forecast also looks into the epoch before."""
MIN_CHANGE = -75.0
MAX_CHANGE = 300.0
"""Percent; what a factor of four allows."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One chain's constants: aimed block time in s, highest target, and intervals measured beyond the epoch's own."""

    block_time_s: int
    limit: int
    extra: int


RULES = {
    "btc": Rule(block_time_s=600, limit=0xFFFF << 208, extra=0),
    "ltc": Rule(block_time_s=150, limit=2**236 - 1, extra=1),
}
"""By `Coin.retarget`. Bitcoin: pow.cpp, chainparams.cpp; Litecoin: the same files of litecoin-project/litecoin."""


def rule_of(coin: Coin) -> Rule:
    """The coin's retarget rule; raises ConfigError for a coin whose difficulty follows every block."""
    rule = RULES.get(coin.retarget)
    if rule is None:
        dated = " and ".join(code for code, one in COINS.items() if one.retarget)
        raise ConfigError(f"{coin.code} has no dated retarget: its difficulty follows every block; {dated} have one")
    return rule


def next_bits(coin: Coin, old_bits: int, first_time: int, last_time: int) -> int:
    """The `bits` of the next epoch, exact, once its last block exists.

    `first_time` is the header time (Unix s) of the block the chain measures from, `last_time` of the epoch's last.
    New target = old * clamp(span) div (2016 * block time), at most the chain's limit, cut to compact form.
    Raises ConfigError as `rule_of` does, ValueError for bad bits.
    """
    rule = rule_of(coin)
    aimed = EPOCH * rule.block_time_s
    span = min(max(last_time - first_time, aimed // 4), aimed * 4)
    target = target_from_bits(old_bits)
    # Litecoin gives up the lowest bit near its limit, where the product would not fit 256 bits
    shift = 1 if rule.extra and target.bit_length() > rule.limit.bit_length() - 1 else 0
    target = (target >> shift) * span // aimed << shift
    return bits_from_target(min(target, rule.limit))


def change_percent(old_bits: int, new_bits: int) -> float:
    """How much harder `new_bits` are than `old_bits`, in percent, -75 to 300.

    old target / new target * 100 - 100, as mempool.space shows a past retarget. Raises ValueError for bad bits.
    """
    return _clamp(target_from_bits(old_bits) * 100 / target_from_bits(new_bits) - 100)


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """Where an epoch stands and what its end may bring.

    `progress_percent` 0 to 100; `blocks_into_epoch` the tip's place, 0 to 2015; `next_height` the first block of the
    next epoch; `change_percent` of difficulty, -75 to 300; `uncertainty_percent` one standard error of it,
    100/sqrt(blocks into the epoch), None at its first block; `locked_in` where the epoch's last block exists, so that
    the change is certain. Times in whole milliseconds: `time_avg_ms` a block in this epoch, `adjusted_time_avg_ms`
    over the window the change is made of, `remaining_ms` and the Unix time `estimated_retarget_ms`.
    """

    progress_percent: float
    blocks_into_epoch: int
    remaining_blocks: int
    next_height: int
    change_percent: float
    uncertainty_percent: float | None
    locked_in: bool
    expected_blocks: float
    time_avg_ms: int
    adjusted_time_avg_ms: int
    remaining_ms: int
    estimated_retarget_ms: int


def forecast(
    coin: Coin,
    height: int,
    *,
    start_time_s: int,
    now_s: int,
    tip_time_s: int,
    window_time_s: int | None = None,
    previous_change_percent: float = 0.0,
) -> Forecast:
    """The forecast of the retarget after the tip at `height`, as mempool.space makes it for Bitcoin.

    In the first 503 blocks it looks over the last 504 intervals, where those before the epoch are scaled by
    `previous_change_percent` to the present difficulty; `window_time_s` is the time of the block 503 before the tip
    (Litecoin: 504). Where that is unknown (None), the epoch's own blocks alone are used from the first on, which is
    wild: see `uncertainty_percent`. Litecoin's is the same with its own constants and one interval more.
    Source: mempool/mempool backend/src/api/difficulty-adjustment.ts. Raises ConfigError as `rule_of` does, ValueError
    for a negative height.
    """
    rule = rule_of(coin)
    if height < 0:
        raise ValueError(f"height {height} is negative")
    into = height % EPOCH
    elapsed = max(0, now_s - start_time_s)
    intervals = into + rule.extra
    average = adjusted = elapsed / intervals if intervals else float(rule.block_time_s)
    if window_time_s is not None and into < WINDOW:
        span = max(0.0, elapsed + (start_time_s - window_time_s) * (1 + previous_change_percent / 100))
        adjusted = span / (WINDOW + rule.extra)
        change = _change(rule, span, WINDOW + 1)
    else:
        # once the last block is there its own time decides, no longer the clock
        span = tip_time_s - start_time_s if into == EPOCH - 1 else elapsed
        change = _change(rule, span, into + 1)
    left = EPOCH - into
    remaining_ms = left * floor(adjusted * 1000)
    return Forecast(
        progress_percent=into / EPOCH * 100,
        blocks_into_epoch=into,
        remaining_blocks=left,
        next_height=height + left,
        change_percent=change,
        uncertainty_percent=100 / sqrt(into) if into else None,
        locked_in=into == EPOCH - 1,
        expected_blocks=elapsed / rule.block_time_s,
        time_avg_ms=floor(average * 1000),
        adjusted_time_avg_ms=floor(adjusted * 1000),
        remaining_ms=remaining_ms,
        estimated_retarget_ms=remaining_ms + now_s * 1000,
    )


def _change(rule: Rule, span_s: float, blocks: int) -> float:
    if span_s <= 0:
        return MAX_CHANGE  # clocks that disagree: as fast as can be
    return _clamp((rule.block_time_s / (span_s / blocks) - 1) * 100)


def _clamp(percent: float) -> float:
    return min(max(percent, MIN_CHANGE), MAX_CHANGE)
