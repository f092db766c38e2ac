"""Numbers as hostile or careless venues might write them, by the row of the fault catalogue they prove."""

SOUND = [
    ('"0.5"', 0.5),
    ("0.5", 0.5),  # P06: where a string is usual, a number is understood
    ('"5"', 5.0),
    ("5", 5.0),
    ('"1e-8"', 1e-8),  # P08: an exponent as such is no fault
    ('"1E2"', 100.0),
    ('"0.00000001"', 1e-8),
    ('"123456789012345.1"', 123456789012345.1),
    ('"1e-30"', 1e-30),
    ('"2.5e29"', 2.5e29),
    ('"1000000000000.00000000"', 1e12),
    ('"999999999999.99"', 999999999999.99),
    ('"0.00000000000000000000000001e30"', 1e4),
]
"""(JSON, value)"""

NO_NUMBERS = [
    '"NaN"',
    '"nan"',
    '"Infinity"',
    '"-Infinity"',
    '"inf"',
    '"1_000"',
    '" 1.5 "',
    '"1.5\\n"',
    '"\u0661\u0662"',
    '"\\u0661\\u0662"',
    '"+1.5"',
    '".5"',
    '"1."',
    '"01"',
    '"0x10"',
    '"1,5"',
    '""',
    '"price"',
    "null",
    "true",
    "[]",
    "{}",
]
"""P07, P04"""

BEYOND = [
    '"1e31"',
    '"1E1000000"',
    '"1E-1000000"',
    '"1' + "0" * 400 + '"',
    "1e400",
    '"0.05E31"',  # in range, as are the next three
    '"0.00000000000000000001e35"',
    "0.0000000000000000000000000000000001e35",
    '"0.0000000000000000000999999999999999e31"',
    "1" + "0" * 400,
]
"""P08: beyond all range, or an exponent beyond 30, whatever the field"""

TINY = ['"1e-31"', '"0.01e-29"', '"0.' + "0" * 30 + '1"']
"""P08: no price is that small"""

UNDERFLOW = ['"1e-400"', "1e-400", '"0.' + "0" * 400 + '1"', '"1E-5000"', '"0e-400"']
"""P09: a float made from these is 0, which would remove a level"""

NOT_POSITIVE = ['"0"', '"0.00000000"', "0", '"-0.0"', '"-1"', "-1", '"-1e-8"']
"""P10: no price, and no size of a trade"""

NO_IDS = [
    "-1",
    '"-1"',
    "1.5",
    "18446744073709551616",
    "9223372036854775808",
    '"9223372036854775808"',
    "null",
    "true",
    '"x"',
]
"""P10: ids are exact integers from 0 to 2^63-1"""
