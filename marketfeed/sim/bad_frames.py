"""WebSocket frames that a venue should never send, as bytes for the wire: see RFC 6455, section 5."""

from __future__ import annotations

_TEXT = b'{"channel":"nothing"}'

BAD_FRAMES: dict[str, bytes] = {
    "oversize": b"\x81\x7f" + (1 << 40).to_bytes(8, "big"),
    "torn": b"\x01\x02{}" + b"\x81\x02{}",
    "compressed": bytes([0xC1, len(_TEXT)]) + _TEXT,
    "opcode": b"\x83\x02{}",
    "masked": b"\x81\x82\x00\x00\x00\x00{}",
    "control": b"\x89\x7e\x00\x80" + b"p" * 128,
    "utf8": b"\x81\x04\xff\xfe{}",
}
"""By name: a terabyte announced, a message begun within another, a compressed one that nobody agreed to, an unknown
opcode, a mask that servers do not use, a ping that is too long, and text that is no UTF-8 (T18-T20)."""
