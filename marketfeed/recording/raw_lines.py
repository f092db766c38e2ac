"""Lines of raw recordings made of inputs, with keys and passwords taken out."""

import re
from binascii import b2a_base64
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import orjson

from .. import catalogue
from ..events import Head, encode_json
from ..settings import secrets
from ..taped import Input

REDACTED = b"[redacted]"
_UNBOUNDED = 1e300
"""Stands for infinity, which JSON does not have."""
_OBEYED = re.compile("[\x80-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What a terminal may obey beyond ASCII: JSON leaves it as it is."""


def lines_of(what: Input, events: list[Head]) -> list[bytes]:
    """The lines of an input and the number of the first event it led to, each with its newline."""
    head = b'{"dir":%b,"conn":%b' % (orjson.dumps(what.dir), orjson.dumps(what.conn))
    if what.recv_ns:
        head += b',"t":%d.%09d' % divmod(what.recv_ns, 1_000_000_000)
    if what.mono_ns:
        head += b',"mono":%d' % what.mono_ns
    seq = b',"seq":%d' % events[0].seq_local if events else b""
    if what.dir == "told":
        return [b'%b,"venue":%b,%b}\n' % (head, orjson.dumps(e.venue), _text(encode_json(e))) for e in events]
    if what.dir == "in":
        found = [b"%b%b,%b}\n" % (head, seq, _text(what.data[0]))]
        return found + [b"%b,%b}\n" % (head, _text(frame)) for frame in what.data[1:]]
    more = dict(what.more)
    if url := more.get("url"):
        more["url"] = _plain(url)
    if (pace := more.get("pace")) is not None:
        told = msgspec.to_builtins(pace)
        more["pace"] = {key: min(v, _UNBOUNDED) if isinstance(v, float) else v for key, v in told.items()}
    rest = b"".join(b"," + _json({key: value})[1:-1] for key, value in more.items())
    body = b"," + _text(what.data[0]) if what.data else b""
    return [b"%b%b%b%b}\n" % (head, seq, rest, body)]


def _text(data: bytes) -> bytes:
    try:
        return b'"raw":' + _json(data.decode())
    except UnicodeDecodeError:
        return b'"b64":"' + b2a_base64(data, newline=False) + b'"'


def _json(value: Any) -> bytes:
    """JSON that is safe to look at."""
    text = orjson.dumps(value)
    if text.isascii():
        return text
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text.decode()).encode()


def _plain(url: str) -> str:
    """Without a user, a password and a query, which may be keys."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Redaction:
    """Takes out of lines what the environment has for the venues met so far, wherever a venue repeats it."""

    def __init__(self) -> None:
        self._secrets: set[bytes] = set()

    def meet(self, venue: str) -> None:
        """Look up what there is for a venue; again, for it may have changed."""
        for text in secrets(catalogue.venue(venue)):
            once = _json(text)[1:-1].decode()  # JSON within JSON, as bodies are kept, is written twice
            self._secrets |= {text.encode(), once.encode(), _json(once)[1:-1]}

    def __call__(self, line: bytes) -> bytes:
        """The line without them."""
        for secret in self._secrets:
            if secret in line:
                line = line.replace(secret, REDACTED)
        return line
