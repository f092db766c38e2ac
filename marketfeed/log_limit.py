"""Logs that a storm of errors cannot flood: ten lines a minute of each message, then a count (C15)."""

import logging

MOST = 10
WINDOW_S = 60.0


class Limit(logging.Filter):
    """Lets so many records of one message through; the next one after the minute says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}
        """By message, without what it is about: (when its minute began, records in it)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`. A clock that is set back begins another minute."""
        code = str(record.msg)
        began, many = self._seen.get(code, (record.created, 0))
        if not 0 <= record.created - began < WINDOW_S:
            if many > MOST:
                record.msg = f"{code} ({many - MOST} more like it were left out)"
            began, many = record.created, 0
        self._seen[code] = (began, many + 1)
        return many < MOST


def limited(name: str) -> logging.Logger:
    """The logger of that name, limited."""
    log = logging.getLogger(name)
    if not any(isinstance(one, Limit) for one in log.filters):
        log.addFilter(Limit())
    return log
