"""`--metrics`: the figures of a command's feed for Prometheus, on this machine alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..feed import Feed


@contextmanager
def served(feed: Feed, port: int | None, tell: Callable[[str], object] | None) -> Iterator[None]:
    """Serve them meanwhile, and tell where; nothing where no port is given. Raises MissingExtra and ConfigError."""
    if port is None:
        yield
        return
    from ..metrics import serve  # noqa: PLC0415 # an extra

    with serve(feed, port) as server:
        if tell is not None:
            tell(f"metrics at http://127.0.0.1:{server.port}/metrics")
        yield
