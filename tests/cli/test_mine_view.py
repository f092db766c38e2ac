import msgspec
import pytest

from marketfeed.cli._mine_board import MOST, Board, Course
from marketfeed.cli._mine_frame import PLAIN_BARS, Frame, spark
from marketfeed.cli._mine_view import view
from marketfeed.events import Input, MiningProfit, NetworkStats, Stale, Term, Ticker

NOW = 1_795_000_000 * 10**9
SECOND = 10**9
PRICE = Input(kind="price", what="BTC", source="kraken:BTC-USD:ticker", value=106935.0, ts=NOW, age_ms=400)
NETWORK = Input(kind="network", what="BTC", source="mempool:BTC:chain", value=155.97e12, ts=NOW - 90 * SECOND,
                age_ms=90_000)  # fmt: skip


def profit(**changes) -> MiningProfit:
    whole = MiningProfit(
        venue="mining", symbol="BTC", ts_recv=NOW, rig="s21xp", algorithm="SHA-256d", quote="USD", hashrate=270e12,
        watts=3645.0, electricity=0.05, pool_fee=0.02, scheme="FPPS", uptime=1.0,
        terms=(Term(coin="BTC", height=921313, difficulty=155973032196071.94, reward=3.1445, fees=0.0195,
                    fees_blocks=144, price=106935.0, coins_day=0.000109501, revenue_day=11.709534),),
        revenue_day=11.709534, fee_day=0.234191, power_cost_day=4.374, profit_day=7.101343, margin=0.61883,
        hashprice=0.0433686, hash_unit="TH/s", breakeven_electricity=0.1311768, breakeven_price=40759.887,
        breakeven_difficulty=4.09e14, cost_per_coin=39944.69, trigger="start", inputs=(PRICE, NETWORK),
    )  # fmt: skip
    return msgspec.structs.replace(whole, **changes)


def unknown(**changes) -> MiningProfit:
    """Nothing is known of price and chain."""
    none = dict.fromkeys(
        ("revenue_day", "fee_day", "profit_day", "margin", "hashprice", "breakeven_electricity", "breakeven_price",
         "breakeven_difficulty", "cost_per_coin"))  # fmt: skip
    term = Term(coin="BTC", height=0, difficulty=None, reward=None, price=None, coins_day=None, revenue_day=None)
    old = tuple(msgspec.structs.replace(one, value=None, ts=0, age_ms=0, stale=True) for one in (PRICE, NETWORK))
    return profit(terms=(term,), inputs=old, stale=("kraken:BTC-USD:ticker", "mempool:BTC:chain"), **none, **changes)


STATS = NetworkStats(
    venue="mempool", symbol="BTC", ts_recv=NOW - 90 * SECOND, height=921313, difficulty=155973032196071.94,
    hashrate=1.1165e21, reward=312_500_000, fees=1_950_000.0, fees_blocks=144, epoch_blocks=2, retarget_height=923328,
    retarget_change=-2.37, retarget_ts=NOW + 1_209_000 * SECOND, subsidy_height=1_050_000, next_subsidy=156_250_000,
)  # fmt: skip


def board(*events) -> Board:
    made = Board({"BTC": ["s21xp"]}, {"s21xp": "s21xp x10"})
    for event in (STATS, *events):
        made.on_event(event)
    return made


def test_a_drawing():
    frame = Frame(columns=120, simulated=True)
    assert view(board(profit()), frame, NOW + SECOND) == [
        "mine BTC  SIMULATED  LIVE",
        "",
        "rig         s21xp x10   270 TH/s   3.645 kW   13.5 J/TH",
        "profit      +7.10 USD/day   margin 61.9 %",
        "revenue     11.71   fee -0.23   power -4.37 at 0.05/kWh",
        "break-even  0.1312 USD/kWh   40,759.89 USD/BTC",
        "course      " + "▄" * 48 + "   1 s",
        "",
        "BTC         106,935.00 USD   kraken 1.4 s",
        "network     height 921,313   difficulty 155.97 T   1.116 ZH/s   3.1445 BTC/block   mempool 1 min 31 s",
        "retarget    -2.37 % (±70.7)   in 13 d 23 h   2,015 blocks left",
        "subsidy     to 1.5625 BTC   in 2 y 163 d   128,687 blocks left",
        "hashprice   43.37 USD/PH/s/day",
    ]


def test_ages_are_of_the_last_sign_of_life():
    shown = board(profit(), Ticker(venue="kraken", symbol="BTC-USD", ts_recv=NOW + 59 * SECOND, last=1.0))
    assert any("kraken 1.0 s" in line for line in view(shown, Frame(columns=80), NOW + 60 * SECOND))


def test_silence_that_is_told_is_no_sign_of_life():
    silent = Stale(venue="mempool", symbol="BTC", ts_recv=NOW + 59 * SECOND, channel="chain", reason="silent for 120 s")
    assert any(
        "mempool 2 min 30 s" in line for line in view(board(profit(), silent), Frame(columns=120), NOW + 60 * SECOND)
    )


def test_a_change_that_is_locked_in():
    locked = msgspec.structs.replace(STATS, next_bits=0x1701D936, epoch_blocks=2015, height=923327)
    (line,) = [one for one in view(board(profit(), locked), Frame(columns=80), NOW) if one.startswith("retarget")]
    assert line == "retarget    -2.37 %   locked in   in 13 d 23 h   1 block left"


def test_what_is_stale_is_named():
    stale = msgspec.structs.replace(PRICE, stale=True)
    drawn = view(board(profit(inputs=(stale, NETWORK), stale=(PRICE.source,))), Frame(columns=80, colour=True), NOW)
    assert drawn[0] == "\x1b[1mmine BTC\x1b[0m  \x1b[31mSTALE\x1b[0m"
    assert any(line.endswith("\x1b[1;33mkraken:BTC-USD:ticker\x1b[0m") for line in drawn)
    text = "\n".join(view(board(unknown()), Frame(columns=80), NOW))
    assert "profit      not known   margin -" in text
    assert "kraken silent" in text
    assert "BTC         not known" in text


@pytest.mark.parametrize(("scheme", "told"), [("FPPS", True), ("solo", True), ("PPS", False)])
def test_a_reward_without_the_fees_that_the_scheme_pays_says_so(scheme, told):
    (term,) = profit().terms
    bare = msgspec.structs.replace(term, reward=3.125, fees=0.0, fees_blocks=0)
    lines = view(board(profit(terms=(bare,), scheme=scheme)), Frame(columns=120), NOW)
    (line,) = [one for one in lines if one.startswith("network")]
    assert ("3.1250 BTC/block   without fees" in line) is told


def test_the_sign_of_a_profit_has_a_colour():
    for value, colour in ((7.1, "32"), (-7.1, "31")):
        drawn = view(board(profit(profit_day=value)), Frame(columns=80, colour=True), NOW)
        assert any(f"\x1b[{colour}m{value:+.2f} USD/day" in line for line in drawn)
    assert "\x1b" not in "".join(view(board(profit()), Frame(columns=80), NOW))


def test_before_anything_has_come():
    waiting = Board({"BTC": ["s21xp"]}, {})
    assert view(waiting, Frame(columns=80, rows=24), NOW)[0] == "mine BTC  WAITING for prices and chain of BTC"


@pytest.mark.parametrize("rows", [None, 3, 12, 24])
@pytest.mark.parametrize("columns", [10, 40, 80, 120])
@pytest.mark.parametrize("rigs", [1, 3])
def test_a_drawing_fits(rows, columns, rigs):
    names = [f"rig{i}" for i in range(rigs)]
    made = Board({"BTC": names}, {})
    for event in (STATS, *(profit(rig=name, profit_day=-1e5) for name in names), unknown(rig=names[-1])):
        made.on_event(event)
    drawn = view(made, Frame(columns=columns, rows=rows, bars=PLAIN_BARS), NOW, "x\x1b" * 100)
    assert all(len(line) <= columns for line in drawn)
    assert "\x1b" not in "".join(drawn)
    assert rows is None or len(drawn) <= rows


def test_a_low_window_says_that_there_is_more():
    assert view(board(profit()), Frame(columns=80, rows=8), NOW)[-1] == "7 more lines: make the window higher"


def test_several_rigs_are_a_table():
    made = Board({"BTC": ["s19pro", "s21xp"]}, {})
    for event in (STATS, profit(), profit(rig="s19pro", profit_day=-1.25, revenue_day=4.7, margin=-0.3)):
        made.on_event(event)
    drawn = view(made, Frame(columns=80), NOW)
    assert drawn[2].split() == ["rig", "USD/day", "revenue", "power", "margin", "even", "kWh"]
    assert [line.split()[:2] for line in drawn[3:5]] == [["s21xp", "+7.10"], ["s19pro", "-1.25"]]


def test_merged_coins_beside_others():
    price = {
        coin: msgspec.structs.replace(PRICE, what=coin, source=f"kraken:{coin}-USD:ticker") for coin in ("LTC", "DOGE")
    }
    price["DOGE"] = msgspec.structs.replace(
        price["DOGE"], source="kraken:DOGE-BTC:ticker x coinbase:BTC-USD:ticker", stale=True
    )
    chain = {coin: msgspec.structs.replace(NETWORK, what=coin, source=f"node:{coin}:chain") for coin in ("LTC", "DOGE")}
    terms = tuple(
        Term(coin=coin, height=3_000_000, difficulty=2e7, reward=reward, price=90.0, coins_day=1.0, revenue_day=20.0)
        for coin, reward in (("LTC", 6.25), ("DOGE", 10_000.0))
    )
    merged = profit(symbol="LTC+DOGE", rig="l7", algorithm="Scrypt", hash_unit="MH/s", terms=terms,
                    inputs=(*price.values(), *chain.values()), stale=(price["DOGE"].source,))  # fmt: skip
    made = Board({"BTC": ["s21xp"], "LTC+DOGE": ["l7"]}, {})
    for event in (STATS, profit(), merged):
        made.on_event(event)
    text = view(made, Frame(columns=120), NOW)
    assert text[0] == "mine BTC LTC+DOGE  STALE"
    assert [line.partition(" ")[0] for line in text if line] == [
        "mine", "rig", "s21xp", "BTC", "network", "retarget", "subsidy", "hashprice",
        "rig", "l7", "LTC", "network", "DOGE", "network", "hashprice", "stale",
    ]  # fmt: skip
    assert "LTC         90.00 USD   kraken 0.4 s" in text
    assert "DOGE        90.00 USD   kraken DOGE-BTC x coinbase BTC-USD 0.4 s" in text
    assert "hashprice   0.04337 USD/MH/s/day" in text
    assert "stale       kraken:DOGE-BTC:ticker x coinbase:BTC-USD:ticker" in text
    assert all(len(line) <= 40 for line in view(made, Frame(columns=40), NOW))


def test_a_course():
    course = Course()
    for minute in range(1500):
        course.add(NOW + minute * 60 * SECOND, float(minute))
    values, length = course.columns(10, NOW + 1499 * 60 * SECOND)
    assert length == 86_400 * SECOND
    assert values[-1] == 1499
    assert values == sorted(values)
    for i in range(3 * MOST):
        course.add(NOW + 1500 * 60 * SECOND + i * SECOND, 1.0)
    assert len(course._points) <= MOST + 1
    assert Course().columns(10, NOW) == ([], 0)
    assert spark([], PLAIN_BARS) == ""
    assert spark([1, 2, 3], PLAIN_BARS) == "_+@"
    assert len(set(spark([3.0, 3.0001], PLAIN_BARS))) == 1


def test_with_several_coins_the_best_is_named_and_does_not_flap():
    made = Board({"BTC": ["s21xp"], "BCH": ["s21xp"]}, {"s21xp": "s21xp x10"})
    made.on_event(profit())
    for seconds, earned in ((1, 9.0), (200, 9.0), (302, 9.0)):
        made.on_event(profit(symbol="BCH", profit_day=earned, ts_recv=NOW + seconds * SECOND))
        best = next(line for line in view(made, Frame(columns=80), NOW) if line.startswith("best"))
        assert best.endswith("s21xp x10: BCH" if seconds == 302 else "s21xp x10: BTC")
    assert not any(line.startswith("best") for line in view(board(profit()), Frame(columns=80), NOW))


def test_the_chain_shown_is_the_one_a_profit_was_made_from():
    """The first source may be so old that it counts no more, where the second is old and counts."""
    both = tuple(
        msgspec.structs.replace(NETWORK, source=f"{name}:BTC:chain", stale=True, used=name == "blockchair")
        for name in ("mempool", "blockchair")
    )
    made = Board({"BTC": ["s21xp"]}, {})
    for venue, height in (("mempool", 100), ("blockchair", 200)):
        made.on_event(
            NetworkStats(
                venue=venue, symbol="BTC", ts_recv=NOW, height=height, difficulty=1.0, hashrate=1.0, reward=312_500_000
            )
        )
    stats = made.chain(profit(inputs=(PRICE, *both)), "BTC")
    assert stats is not None
    assert stats.venue == "blockchair"
