"""New blocks as a node pushes them over ZMQ, in the extra `[zmq]`: a hint to ask the node now.

The node runs with `-zmqpubhashblock=tcp://127.0.0.1:28332` (bitcoind's family). Messages may be lost, and on a reorg
only the tip is sent, so that they prove nothing: what they give rise to is a poll before its time, and polling goes on.
Source: Bitcoin Core doc/zmq.md.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from .errors import ConfigError, MissingExtra

TOPIC = b"hashblock"


def check_zmq(url: str) -> None:
    """Raise ConfigError for what is no address of a publisher, and MissingExtra where pyzmq is not installed."""
    parts = urlsplit(url)
    try:
        whole = bool(parts.path) if parts.scheme == "ipc" else parts.scheme == "tcp" and parts.port is not None
    except ValueError:
        whole = False
    if not whole:
        raise ConfigError(f"{url[:60]!r} is no address of a ZMQ publisher; write tcp://127.0.0.1:28332")
    try:
        import zmq  # noqa: F401, PLC0415 # the extra is optional, and slow to import
    except ImportError:
        raise MissingExtra("blocks over ZMQ", "zmq") from None


async def hashblocks(url: str, heard: Callable[[], None]) -> None:
    """Call `heard` for every block that the node announces, for ever; pyzmq connects, and connects again."""
    import zmq  # noqa: PLC0415 # see above
    import zmq.asyncio  # noqa: PLC0415 # see above

    context = zmq.asyncio.Context()
    socket = context.socket(zmq.SUB)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        socket.connect(url)
        while True:
            parts = await socket.recv_multipart()
            if len(parts) == 3 and parts[0] == TOPIC and len(parts[1]) == 32:
                heard()
    finally:
        socket.close()
        context.term()
