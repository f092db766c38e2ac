"""Spreading subscriptions over links, and how many of a link's requests are remembered."""

from collections.abc import Sequence

from ..subscriptions import Subscription
from ._spec import LinkPlan, Pace

MAX_ASKED = 1_000
"""Requests of one connection that an answer may still be to; of those before them nobody knows any more."""


def one_host(url: str, wanted: Sequence[Subscription], pace: Pace, kind: str = "") -> list[LinkPlan]:
    """Fill links to one URL, each up to the venue's limit; a symbol's streams stay together where they fit."""
    step = pace.subscriptions_per_link
    ordered = sorted(wanted)
    return [LinkPlan(url, tuple(ordered[i : i + step]), kind=kind) for i in range(0, len(ordered), step)]
