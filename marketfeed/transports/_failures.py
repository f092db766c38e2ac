"""What went wrong on the way to a venue, in plain words, whatever library noticed it."""

import re
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..clock import Clock
from ..errors import ConfigError, TransportError
from ..text import escaped

MAX_RETRY_AFTER_S = 30 * 86_400.0
"""A venue may send us away for so long and no longer; beyond it is a mistake or an attack."""

RETRIED_4XX = frozenset({402, 403, 408, 418, 421, 425, 429})
"""Refusals that pass: limits and bans. Any other 3xx or 4xx means that the call itself must change."""

ADVICE = {
    400: "it does not take this request: check the endpoint",
    401: "it wants a valid key",
    402: "the calls that it gives away are spent",
    403: "forbidden: a ban, a firewall or a blocked region",
    404: "there is nothing at this address: check the endpoint",
    418: "banned for breaking its rate limits",
    429: "too many requests",
    451: "not available in this region: set another endpoint",
}

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)\b")
_RETRY_AFTER = re.compile(rb"^retry-after:(.*)$", re.IGNORECASE | re.MULTILINE)


def refused(host: str, status: int, retry_after_s: float | None = None) -> TransportError:
    """The error for a handshake that was answered with an HTTP status in place of 101."""
    if 300 <= status < 400:
        words = "it redirects, which is not followed: set the endpoint it redirects to"
    else:
        words = ADVICE.get(status, "it is in trouble" if status >= 500 else "refused")
    fatal = 300 <= status < 500 and status not in RETRIED_4XX
    message = f"{escaped(host)} answered HTTP {status}: {words}"
    return TransportError(message, status=status, retry_after_s=retry_after_s, fatal=fatal)


def refused_head(host: str, head: bytes, clock: Clock) -> TransportError | None:
    """As `refused`, from the raw head of a response; None where it holds no status but 101."""
    status = _STATUS.match(head)
    if status is None or status[1] == b"101":
        return None
    after = _RETRY_AFTER.search(head)
    return refused(host, int(status[1]), retry_after_s(after[1].decode("latin-1"), clock) if after else None)


def _reason(exc: ssl.SSLError) -> str:
    """What OpenSSL says; one that Python raises by itself has words alone."""
    return getattr(exc, "reason", "") or str(exc.args[-1] if exc.args else exc)


def failed(exc: BaseException, host: str, timeout_s: float) -> TransportError:
    """The error for anything else that ended an attempt: name, TCP, TLS, time, or a broken handshake."""
    host = escaped(host)
    match exc:
        case socket.gaierror():
            return TransportError(f"cannot resolve host {host}")
        case ssl.SSLCertVerificationError():
            why = getattr(exc, "verify_message", "") or _reason(exc)
            return TransportError(f"TLS: the certificate of {host} is refused: {escaped(why)}", fatal=True)
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return TransportError(f"TLS: {host} closed the connection during the handshake")
        case ssl.SSLError():
            return TransportError(f"TLS: handshake with {host} failed: {escaped(_reason(exc))}", fatal=True)
        case TimeoutError():
            return TransportError(f"no answer from {host} within {timeout_s:g} s")
        case ConnectionRefusedError():
            return TransportError(f"{host} refused the connection")
        case ConnectionError() | EOFError():
            return TransportError(f"{host} cut the connection before it was open")
        case OSError():
            return TransportError(f"cannot reach {host}: {escaped(exc.strerror or str(exc))}")
    return TransportError(f"{host} is no WebSocket server we can talk to: {escaped(str(exc))}", fatal=True)


def culprit(exc: BaseException, host: str, proxy: str | None) -> str:
    """Whom a failure is about: where a proxy is used, names and TCP connections are its own."""
    if proxy is not None and isinstance(exc, socket.gaierror | ConnectionRefusedError):
        return f"{urlsplit(proxy).hostname} (the proxy)"
    return host


def retry_after_s(value: str | None, clock: Clock) -> float | None:
    """A Retry-After header in seconds: it holds seconds or an HTTP date. None where it is absent or makes no sense."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), MAX_RETRY_AFTER_S)
    if not text or len(text) > 64:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # slow to import, rarely needed

    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(until - clock.unix_ns() / 1e9, 0.0), MAX_RETRY_AFTER_S)


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse names and values that would write headers of their own; libraries differ in whether they look."""
    for name, value in headers.items():
        if any(char in text for text in (name, value) for char in "\r\n\0"):
            raise ConfigError(f"header {escaped(name)!r} has a line break in it")
