from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from marketfeed.sim.engine import Engine, Fill, LevelChange
from marketfeed.sim.instruments import INSTRUMENTS
from marketfeed.sim.market import Market

sides = st.sampled_from(["bid", "ask"])
orders = st.one_of(
    st.tuples(st.just("limit"), sides, st.integers(90, 110), st.integers(1, 50)),
    st.tuples(st.just("market"), sides, st.integers(1, 80)),
    st.tuples(st.just("cancel"), st.integers(1, 60)),
)


@given(st.lists(orders, max_size=60))
def test_lots_are_conserved_and_the_book_never_crosses(script):
    engine = Engine()
    sent = cancelled = unfilled = traded = 0
    known = {"bid": {}, "ask": {}}
    for name, *arguments in script:
        if name == "limit":
            engine.limit(*arguments)
            sent += arguments[2]
        elif name == "market":
            filled = engine.market(*arguments)
            sent += arguments[1]
            unfilled += arguments[1] - filled
        else:
            cancelled += engine.resting(arguments[0])
            engine.cancel(arguments[0])
        changes, fills = engine.take()
        traded += sum(fill.size for fill in fills)
        for side, price, size in changes:
            known[side][price] = size
        bid, ask = engine.bids.best(), engine.asks.best()
        assert bid is None or ask is None or bid < ask
    resting = sum(size for book in (engine.bids, engine.asks) for _, size in book.top())
    assert sent == resting + cancelled + unfilled + 2 * traded
    for side in ("bid", "ask"):
        assert {p: q for p, q in known[side].items() if q} == dict(engine.side(side).top())
        assert engine.side(side).prices == sorted(engine.side(side).levels)


def test_the_oldest_order_at_the_best_price_is_filled_first():
    engine = Engine()
    first, second = engine.limit("ask", 101, 5), engine.limit("ask", 101, 5)
    better = engine.limit("ask", 100, 2)
    engine.take()
    assert engine.market("bid", 4) == 4
    changes, fills = engine.take()
    assert fills == [Fill(100, 2, "bid"), Fill(101, 2, "bid")]
    assert changes == [LevelChange("ask", 100, 0), LevelChange("ask", 101, 8)]
    assert [engine.resting(order) for order in (better, first, second)] == [0, 3, 5]


def test_a_limit_order_stops_at_its_price_and_rests():
    engine = Engine()
    engine.limit("ask", 100, 2)
    engine.limit("ask", 103, 2)
    order = engine.limit("bid", 102, 5)
    assert engine.resting(order) == 3
    assert engine.bids.top() == [(102, 3)]
    assert engine.market("ask", 9) == 3
    assert not engine.cancel(order)


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_a_market_stays_lively_whatever_the_seed(seed):
    market = Market(Random(seed).choice(INSTRUMENTS["binance"]), str(seed), by_update_id=True)
    market.open(1)
    trades = moved = 0
    start = market.best()[0][0]
    for _ in range(300):
        step = market.step(1)
        (bid, _), (ask, _) = market.best()
        assert 0 < ask - bid <= 6
        assert len(market.bids.prices) >= 150
        assert len(market.asks.prices) >= 150
        trades += len(step.trades)
        moved = max(moved, abs(bid - start))
    assert trades > 50
    assert moved > 3


def test_the_same_seed_gives_the_same_market():
    one, two, other = (Market(INSTRUMENTS["kraken"][0], seed) for seed in ("a", "a", "b"))
    for market in (one, two, other):
        market.open(1)
    steps = [[market.step(1)[2:] for _ in range(50)] for market in (one, two, other)]
    assert steps[0] == steps[1] != steps[2]
