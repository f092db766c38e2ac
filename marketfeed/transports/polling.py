"""A link that is none, for sources that are polled over REST."""

from ..transport import LinkListener


class PollingLink:
    """Stands for a link where there is none: a polled source's session has REST alone."""

    def __init__(self, listener: LinkListener) -> None:
        self._listener = listener

    def send(self, payload: str | bytes) -> None:
        """See `Link`; there is nobody to send to."""

    def ping(self) -> None:
        """See `Link`."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """See `Link`; closed at once."""
        self._listener.on_closed(code, reason)

    async def wait_closed(self) -> None:
        """See `Link`."""
