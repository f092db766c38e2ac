"""What a fork leaves of a feed in the child: nothing that could be used (C07).

Sockets, loop and tasks are the parent's. A child that wrote to them would speak in the middle of the parent's talk.
"""

import os
from collections.abc import Callable
from weakref import WeakMethod

from .errors import ConfigError

_told: list[WeakMethod[Callable[[ConfigError], None]]] = []
"""What to call in a child."""


def in_child(lost: Callable[[ConfigError], None]) -> None:
    """Call a method, while its object lives, in each child that this process forks: with the error to raise there."""
    _told[:] = [known for known in _told if known() is not None]
    _told.append(WeakMethod(lost))


def _forked() -> None:
    error = ConfigError("this feed is of the process that this one was forked from; make a new one here")
    for known in _told:
        lost = known()
        if lost is not None:
            lost(error)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)
