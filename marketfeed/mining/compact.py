"""Compact bits, target, difficulty and work of the Bitcoin family. Targets and work are exact integers.

A hash wins a block where it is at most `target`. Headers carry the target as `bits`: an exponent byte E and a mantissa
M of 23 bits, target = M * 256^(E-3). Difficulty 1 is the target 0xffff * 2^208.
Rules: Bitcoin Core, `arith_uint256::SetCompact` and `GetCompact`, `rpc/blockchain.cpp:GetDifficulty`.
"""

from math import ldexp

MAX_TARGET = 2**256 - 1
DIFFICULTY_1 = 0xFFFF << 208
"""The target of difficulty 1."""
_SIGN = 0x00800000


def target_from_bits(bits: int) -> int:
    """The target of a header's `bits`, 1 to 2^256-1.

    Raises ValueError where `bits` is no uint32, has the sign bit, or means 0 or more than 256 bits.
    """
    if not 0 <= bits <= 0xFFFFFFFF:
        raise ValueError(f"bits {bits:#x} are not 32 bits")
    if bits & _SIGN:
        raise ValueError(f"bits {bits:#010x} have the sign bit: a target is positive")
    shift = 8 * ((bits >> 24) - 3)
    mantissa = bits & 0x007FFFFF
    target = mantissa << shift if shift >= 0 else mantissa >> -shift
    if not 0 < target <= MAX_TARGET:
        raise ValueError(f"bits {bits:#010x} mean a target of {'0' if not target else 'over 256 bits'}")
    return target


def bits_from_target(target: int) -> int:
    """The compact form of a target: its top three bytes, the rest cut off and never rounded.

    Raises ValueError outside 1 to 2^256-1.
    """
    if not 0 < target <= MAX_TARGET:
        raise ValueError(f"target {target:#x} is not between 1 and 2^256-1")
    size = (target.bit_length() + 7) // 8
    mantissa = target >> 8 * (size - 3) if size > 3 else target << 8 * (3 - size)
    if mantissa & _SIGN:
        # the top bit would read as a sign
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def difficulty_from_bits(bits: int) -> float:
    """Difficulty of a header's `bits`: (0xffff/M) * 256^(29-E), the double every correct implementation prints.

    Raises ValueError as `target_from_bits` does.
    """
    target_from_bits(bits)
    return ldexp(0xFFFF / (bits & 0x007FFFFF), 8 * (29 - (bits >> 24)))


def difficulty_from_target(target: int) -> float:
    """Difficulty of a whole target, the nearest double to 0xffff * 2^208 / target.

    Raises ValueError outside 1 to 2^256-1.
    """
    if not 0 < target <= MAX_TARGET:
        raise ValueError(f"target {target:#x} is not between 1 and 2^256-1")
    return DIFFICULTY_1 / target


def work(bits: int) -> int:
    """Expected hashes for one block, floor(2^256 / (target+1)): what chainwork adds up.

    About difficulty * 2^32, which is lower by a part in 65536. Raises ValueError as `target_from_bits` does.
    """
    return 2**256 // (target_from_bits(bits) + 1)
