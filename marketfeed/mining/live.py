"""Profits as a stream: of a running feed, or of recorded events."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from ..errors import ConfigError
from ..events import Head, MiningProfit
from ..outlet import Outlet
from .coins import parse_coins
from .join import Join
from .plan import Mining, Plan
from .rigs import Rig, rig


async def stream(
    feed: Any, *, coins: Sequence[str], rigs: Sequence[str | Rig], **options: Any
) -> AsyncIterator[MiningProfit]:
    """Profits of rigs at coins, as prices and chains move, from an entered `Feed`; `options` as in `Mining`.

    Each rig is computed for every coin of its algorithm. Raises ConfigError for what cannot be computed.
    """
    miners: list[Any] = []
    consumer = feed.consumer(lambda event: any(one.tells(event) for one in miners))
    try:
        for label, fitting in share_out(coins, rigs).items():
            miners.append(await feed.mine(Mining(coins=label, rigs=fitting, **options)))
        async for event in consumer:
            yield event
    finally:
        for one in miners:
            one.close()
        consumer.close()


def share_out(coins: Sequence[str], rigs: Sequence[str | Rig]) -> dict[str, tuple[Rig, ...]]:
    """The rigs that can mine each of the coins, by the coins' label. Raises ConfigError where one has no other."""
    known = [rig(one) if isinstance(one, str) else one for one in rigs]
    shared: dict[str, tuple[Rig, ...]] = {}
    for text in coins:
        chosen = parse_coins(text)
        fitting = tuple(one for one in known if one.algorithm == chosen[0].algorithm)
        if not fitting:
            raise ConfigError(f"no rig given hashes {chosen[0].algorithm}, which {text} needs")
        shared["+".join(one.code for one in chosen)] = fitting
    idle = [one.name for one in known if not any(one in fitting for fitting in shared.values())]
    if idle:
        raise ConfigError(f"{', '.join(idle)} can mine none of {', '.join(shared)}")
    return shared


def profits(events: Iterable[Head], plan: Plan) -> list[MiningProfit]:
    """The profits of recorded events, in their order: those that were told live, but for `seq_local`."""
    told: list[Any] = []
    join = Join(plan, Outlet(told.append))
    for event in events:
        join.on_event(event)
    return told
