"""What must hold of profit for every rig and market."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.mining.coins import COINS, Coin, coin
from marketfeed.mining.economics import Result, Term, calculate

DAY_S = 86_400


class Case(msgspec.Struct, frozen=True):
    """A rig and its markets, in the words of `calculate`."""

    hashrate: float
    watts: float
    terms: tuple[Term, ...]
    electricity: float
    fee: float
    uptime: float = 1.0
    pue: float = 1.0

    def result(self) -> Result:
        return calculate(
            self.hashrate,
            self.watts,
            self.terms,
            electricity_per_kwh=self.electricity,
            pool_fee=self.fee,
            uptime=self.uptime,
            pue=self.pue,
        )

    def scale(self) -> float:
        """What profit is judged against: the money that moves."""
        found = self.result()
        return found.revenue_day + found.power_cost_day


def terms(one: st.SearchStrategy[Coin]) -> st.SearchStrategy[Term]:
    return st.builds(Term, one, st.floats(1e3, 1e15), st.floats(1e-3, 1e4), st.floats(1e-3, 1e6))


def cases(held: st.SearchStrategy[tuple[Term, ...]]) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        hashrate=st.floats(1e3, 1e18),
        watts=st.floats(1, 1e8),
        terms=held,
        electricity=st.floats(1e-4, 10),
        fee=st.floats(0, 0.5),
        uptime=st.floats(0.1, 1),
        pue=st.floats(1, 2),
    )


ANY = terms(st.sampled_from(sorted(COINS.values(), key=lambda one: one.code)))
SINGLE = cases(st.tuples(ANY))
MERGED = cases(st.tuples(terms(st.just(coin("LTC"))), terms(st.just(coin("DOGE")))))
MORE = st.floats(1.001, 10)


def with_term(case: Case, index: int, **changes: float) -> Case:
    changed = [*case.terms]
    changed[index] = msgspec.structs.replace(changed[index], **changes)
    return msgspec.structs.replace(case, terms=tuple(changed))


@given(SINGLE, MORE)
def test_profit_grows_with_the_price(case: Case, more: float) -> None:
    dearer = with_term(case, 0, price=case.terms[0].price * more)
    assert dearer.result().revenue_day > case.result().revenue_day
    assert dearer.result().profit_day >= case.result().profit_day


@given(SINGLE, MORE)
def test_profit_falls_with_difficulty(case: Case, more: float) -> None:
    harder = with_term(case, 0, difficulty=case.terms[0].difficulty * more)
    assert harder.result().revenue_day < case.result().revenue_day
    assert harder.result().profit_day <= case.result().profit_day


@given(SINGLE, MORE)
def test_profit_falls_with_power(case: Case, more: float) -> None:
    hungrier = msgspec.structs.replace(case, watts=case.watts * more)
    assert hungrier.result().power_cost_day > case.result().power_cost_day
    assert hungrier.result().profit_day <= case.result().profit_day


@given(SINGLE, st.floats(0.001, 0.49))
def test_profit_falls_with_the_fee(case: Case, more: float) -> None:
    dearer = msgspec.structs.replace(case, fee=case.fee + more)
    assert dearer.result().pool_fee_day > case.result().pool_fee_day
    assert dearer.result().profit_day <= case.result().profit_day


@given(SINGLE | MERGED)
def test_breakevens_are_roots(case: Case) -> None:
    found = case.result()
    assert found.breakeven_electricity is not None
    free = msgspec.structs.replace(case, electricity=found.breakeven_electricity)
    assert abs(free.result().profit_day) <= 1e-9 * free.scale()
    for i, one in enumerate(found.coins):
        if one.breakeven_price is not None:
            at = with_term(case, i, price=one.breakeven_price)
            assert abs(at.result().profit_day) <= 1e-9 * at.scale()
        if one.breakeven_difficulty is not None:
            at = with_term(case, i, difficulty=one.breakeven_difficulty)
            assert abs(at.result().profit_day) <= 1e-9 * at.scale()


@given(SINGLE)
def test_one_coin_always_has_its_breakevens(case: Case) -> None:
    one = case.result().coins[0]
    assert one.breakeven_price is not None
    assert one.breakeven_difficulty is not None
    assert (one.breakeven_price < case.terms[0].price) == (one.breakeven_difficulty > case.terms[0].difficulty)


@given(MERGED)
def test_merged_mining_adds(case: Case) -> None:
    both = case.result()
    alone = [msgspec.structs.replace(case, terms=(term,)).result() for term in case.terms]
    assert both.revenue_day == alone[0].revenue_day + alone[1].revenue_day
    assert both.power_cost_day == alone[0].power_cost_day == alone[1].power_cost_day
    expected = alone[0].profit_day + alone[1].profit_day + both.power_cost_day
    assert both.profit_day == pytest.approx(expected, abs=1e-9 * case.scale())


@given(SINGLE)
def test_another_way_to_write_the_formula_agrees_to_1e_12(case: Case) -> None:
    """Joules per hash against value per hash, with nothing taken from the module but its inputs."""
    term = case.terms[0]
    value_of_hash = term.reward * term.price / (term.difficulty * term.coin.hashes_per_difficulty)
    cost_of_hash = case.watts / case.hashrate * case.pue * case.electricity / 3.6e6
    expected = (value_of_hash * (1 - case.fee) - cost_of_hash) * case.hashrate * DAY_S * case.uptime
    assert case.result().profit_day == pytest.approx(expected, abs=1e-12 * case.scale())
