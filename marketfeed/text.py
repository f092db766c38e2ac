"""Text from outside, made safe to show."""


def escaped(text: str | bytes, limit: int = 200) -> str:
    r"""Printable ASCII of at most `limit` characters: what a venue wrote, safe for a terminal, a log line or a label.

    Everything else (controls, bidi and zero-width marks, all non-ASCII) is written `\xNN`, `\uNNNN` or `\UNNNNNNNN`;
    bytes that are no UTF-8 become `\xNN` too. Text that was cut ends in "...".
    """
    if isinstance(text, bytes):
        text = text[: limit * 4 + 4].decode("utf-8", "backslashreplace")
    pieces: list[str] = []
    size = 0
    for char in text:
        piece = char if " " <= char <= "~" else _escape(ord(char))
        size += len(piece)
        if size > limit:
            return _cut("".join(pieces), limit)
        pieces.append(piece)
    return "".join(pieces)


def _escape(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _cut(text: str, limit: int) -> str:
    return text[: max(limit - 3, 0)] + "..."[:limit]
