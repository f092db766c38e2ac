"""Breaks messages: by their structure, whatever its bytes say, and byte by byte. The same dice break the same way."""

import re
from collections.abc import Callable, Sequence
from random import Random

NUMBERS = [
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"nan",
        b"inf",
        b"1_000",
        b" 1.5 ",
        b"\xd9\xa1\xd9\xa2",
        b"+1.5",
        b".5",
        b"1.",
    ),
    *(
        b"01",
        b"0x10",
        b"1,5",
        b"",
        b"1e-8",
        b"1E2",
        b"1e31",
        b"1E1000000",
        b"1E-1000000",
        b"1e400",
        b"1e-400",
        b"1e-31",
    ),
    *(b"0", b"0.00000000", b"-0.0", b"-1", b"-1e-8", b"0e-400", b"1.5", b"2147483648", b"4294967296", b"1e30"),
    *(b"1e12", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"-9223372036854775809"),
    *(b"253402300800", b"99999999999999", b"0." + b"0" * 30 + b"1", b"0." + b"0" * 400 + b"1", b"1" + b"0" * 400),
    *(b"9" * 5_000, b"0.1" + b"0" * 60, b"1e-" + b"9" * 400, b"\\u0031", b"1\\u002e5", b"1.5\\n"),
]
"""P06 to P10, as they stand in JSON, bare or in quotes."""

TEXTS = [
    *(b"", b"\\u001b[31mred\\u001b[0m", b"\x1b]0;title\x07", b"\\u0000", b"a\\nb", b"\\r\\n\\r\\n", b"\\u202egnp.exe"),
    *(
        b"\\ud800",
        b"\\udfff\\ud800",
        b"\xed\xa0\x80",
        b"\xff\xfe",
        b"../../etc/passwd",
        b"%s%n",
        b"\\u200b",
        b"\x7f\x80",
    ),
    *(b"A" * 10_000, b"\\u001b" * 500, "ⓑⓣⓒ".encode(), b"\\\\", b"\\", b'"', b"<script>", b"0001-01-01T00:00:00Z"),
    *(b"9999-12-31T23:59:60.999999999Z", b"2026-02-30T25:61:61Z", b"buy", b"sell", b"snapshot", b"update", b"delete"),
]
"""P32, P33: what may stand between quotes, or break out of them."""

SCALARS = [b"null", b"true", b"false", b"[]", b"{}", b"0", b"1", b"-1", b'""', b'"x"', b"[null]", b"[[]]", b'{"a":1}']
KEYS = [
    b"type",
    b"e",
    b"s",
    b"data",
    b"channel",
    b"symbol",
    b"events",
    b"result",
    b"error",
    b"id",
    b"method",
    b"",
    b"stream",
]

_SCALAR = re.compile(rb'(?<=[:\[,])\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)')
_NUMBER = re.compile(rb'"?-?\d[\d.eE+-]*"?')
_TEXT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_PAIR = re.compile(rb'"([^"\\]{0,80})"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)\s*,?')
_OPEN = re.compile(rb"[\[{]")
SCAN = 20_000
"""Bytes after its beginning in which the end of an array or object is looked for."""


class Mutator:
    """`mutate` breaks a message once, and now and then several times. `pool` is what is spliced from other messages."""

    def __init__(self, dice: Random, pool: Sequence[bytes]) -> None:
        self._dice = dice
        self._pool = pool
        usual: list[Callable[[bytes], bytes]] = [
            *(self._number, self._number, self._number, self._text, self._text, self._retype, self._retype),
            *(self._drop, self._drop, self._repeat, self._rename, self._part, self._part, self._shuffle, self._shuffle),
            *(self._cut, self._splice, self._whole, self._bytes),
        ]
        self._ways = usual * 12 + [self._nest, self._huge]

    def mutate(self, raw: bytes) -> bytes:
        """Another message, nearly this one."""
        for _ in range(1 if self._dice.random() < 0.7 else self._dice.randrange(2, 5)):
            raw = self._dice.choice(self._ways)(raw)
        return raw

    def _find(self, pattern: re.Pattern[bytes], raw: bytes, group: int = 0) -> tuple[int, int] | None:
        """Where the pattern stands next after a random place, or else first."""
        found = pattern.search(raw, self._dice.randrange(len(raw) + 1)) or pattern.search(raw)
        return found.span(group) if found else None

    def _put(self, raw: bytes, at: tuple[int, int] | None, new: bytes) -> bytes:
        return self._bytes(raw) if at is None else raw[: at[0]] + new + raw[at[1] :]

    def _number(self, raw: bytes) -> bytes:
        """As the venue writes it, in quotes or bare, or now and then the other way."""
        at, new = self._find(_NUMBER, raw), self._dice.choice(NUMBERS)
        quoted = at is not None and raw[at[0]] == 0x22
        return self._put(raw, at, b'"%b"' % new if quoted != (self._dice.random() < 0.1) else new)

    def _text(self, raw: bytes) -> bytes:
        return self._put(raw, self._find(_TEXT, raw, 1), self._dice.choice(TEXTS))

    def _retype(self, raw: bytes) -> bytes:
        return self._put(raw, self._find(_SCALAR, raw, 1), self._dice.choice(SCALARS))

    def _drop(self, raw: bytes) -> bytes:
        return self._put(raw, self._find(_PAIR, raw), b"")

    def _repeat(self, raw: bytes) -> bytes:
        """A key twice, the second time perhaps with another value."""
        at = self._find(_PAIR, raw)
        if at is None:
            return self._bytes(raw)
        pair = raw[at[0] : at[1]].rstrip(b", ")
        other = pair.partition(b":")[0] + b":" + self._dice.choice([*SCALARS, *NUMBERS])
        return raw[: at[0]] + pair + b"," + self._dice.choice([pair, other]) + b"," + raw[at[0] :]

    def _rename(self, raw: bytes) -> bytes:
        return self._put(raw, self._find(_PAIR, raw, 1), self._dice.choice(KEYS))

    def _part(self, raw: bytes) -> bytes:
        """An array or object is left out, doubled, or becomes something else."""
        at = self._inside(raw)
        if at is None:
            return self._bytes(raw)
        part = raw[at[0] : at[1]]
        return self._put(raw, at, self._dice.choice([b"", part + b"," + part, b"[" + part + b"]", *SCALARS]))

    def _inside(self, raw: bytes) -> tuple[int, int] | None:
        at = self._find(_OPEN, raw)
        depth = 0
        for place in range(at[0], min(len(raw), at[0] + SCAN)) if at else ():
            depth += (raw[place] in b"[{") - (raw[place] in b"]}")
            if depth == 0 and at:
                return at[0], place + 1
        return None

    def _cut(self, raw: bytes) -> bytes:
        at = self._dice.randrange(len(raw) + 1)
        return raw[:at] if self._dice.random() < 0.8 else raw[at:]

    def _splice(self, raw: bytes) -> bytes:
        other = self._dice.choice(self._pool)
        return raw[: self._dice.randrange(len(raw) + 1)] + other[self._dice.randrange(len(other) + 1) :]

    def _whole(self, raw: bytes) -> bytes:
        two = [raw + raw, raw + b"\n" + raw, b"[" + raw + b"]", b'{"data":' + raw + b"}", raw + b"\x00", raw + b" "]
        return self._dice.choice([b"", b" ", b"\x00", b"null", b"[]", b"{}", b'"', b"\xef\xbb\xbf" + raw, *two])

    def _bytes(self, raw: bytes) -> bytes:
        dice, bad = self._dice, bytearray(raw)
        for _ in range(dice.choice((1, 1, 2, 8))):
            at = dice.randrange(len(bad) + 1)
            way = dice.randrange(4)
            if way == 0 and at < len(bad):
                bad[at] ^= 1 << dice.randrange(8)
            elif way == 1:
                bad[at:at] = bytes([dice.choice(b'\x00\x1b\n"\\[]{}:,0-9e\xff')])
            elif way == 2:
                del bad[at : at + dice.choice((1, 1, 4, 40))]
            else:
                bad[at:at] = bad[at : at + dice.randrange(1, 60)]
        return bytes(bad)

    def _shuffle(self, raw: bytes) -> bytes:
        """Two values change places."""
        one, two = self._find(_SCALAR, raw, 1), self._find(_SCALAR, raw, 1)
        if one is None or two is None or one == two:
            return self._bytes(raw)
        (a, b), (c, d) = sorted((one, two))
        return raw[:a] + raw[c:d] + raw[b:c] + raw[a:b] + raw[d:] if b <= c else self._bytes(raw)

    def _nest(self, raw: bytes) -> bytes:
        deep = self._dice.choice((10, 100, 1_000, 10_000, 100_000))
        bracket, end = self._dice.choice(((b"[", b"]"), (b'{"a":', b"}")))
        closed = b"1" + end * deep if self._dice.random() < 0.7 else b""
        return self._put(raw, self._find(_SCALAR, raw, 1), bracket * deep + closed)

    def _huge(self, raw: bytes) -> bytes:
        """An element of an array a thousand times and more."""
        at = self._inside(raw)
        if at is None or at[1] - at[0] > 500:
            return self._bytes(raw)
        part = raw[at[0] : at[1]]
        return self._put(raw, at, b",".join([part] * self._dice.choice((100, 1_000, 5_000))))
