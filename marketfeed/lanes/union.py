"""`unite`: two books of one number, from two connections: what each lacks that the other knows, or that they differ.

A snapshot over REST has so many levels and no more: what lies beyond its edge is known only where it has changed. So a
book that was begun later may know more of one end of a side, and less of another (P26).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..book import Book, Level
from ..sync import unknown, widest

Levels = tuple[Level[Any], ...]
Edges = tuple[Any, Any]
"""Of bids and asks; see `BookSync.edges`."""


class Union(NamedTuple):
    """Levels of bids and asks that each book is to learn, and the edges of both then."""

    first: tuple[Levels, Levels]
    second: tuple[Levels, Levels]
    edges: Edges


def unite(
    first: Book[Any], first_edges: Edges, second: Book[Any], second_edges: Edges, ahead: Iterable[tuple[Any, Any]]
) -> Union | None:
    """What makes them the same, once the second has also had the changes `ahead`; None where one of them is wrong."""
    changes = list(ahead)
    for_first, for_second, edges = [], [], []
    for i, (one, other) in enumerate(((first.bids, second.bids), (first.asks, second.asks))):
        sizes, others = dict(one.all()), dict(other.all())
        for change in changes:
            others.update(change[i])
        lacking: list[Level[Any]] = []
        known: list[Level[Any]] = []
        for price in sorted(sizes.keys() | others.keys()):
            none = price * 0
            size, theirs = sizes.get(price, none), others.get(price, none)
            if size == theirs:
                continue
            if unknown(price, first_edges[i], i):
                lacking.append((price, theirs))
            elif unknown(price, second_edges[i], i):
                known.append((price, size))
            else:
                return None
        for_first.append(tuple(lacking))
        for_second.append(tuple(known))
        edges.append(widest(first_edges[i], second_edges[i], i))
    return Union((for_first[0], for_first[1]), (for_second[0], for_second[1]), (edges[0], edges[1]))
