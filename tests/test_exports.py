"""The public face, name by name: what is added or taken away is decided here."""

import subprocess
import sys
from importlib.metadata import version
from types import ModuleType

import pytest

import marketfeed

from .conftest import ROOT

PUBLIC = """
Audit Block BookDelta BookNotTrusted BookSnapshot BookVoid ClockStep ConfigError Connected Consumer ConsumerTooSlow
Disconnected Event Feed Gap Instrument Lagged LifeEvent LoopLag Malformed MarketEvent MarketFeedError MiningProfit
MissingExtra NetworkStats NotLive RecorderStatus RecordingError Recovered Refused SchemaDrift Stale Subscribed
Subscription Ticker Trade TransportError TrustedBook UnknownSymbol UnknownVenue Unsubscribed VenueError
VenueSettings VenueStatus encode_json metrics mining recording run sim
""".split()  # noqa: SIM905 # a list of words is read, and changed, more easily


def test_the_public_names() -> None:
    assert sorted(marketfeed.__all__) == sorted(PUBLIC)
    assert len(set(marketfeed.__all__)) == len(marketfeed.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(marketfeed, name)
    assert callable(found) or isinstance(found, ModuleType) or "|" in str(found)
    if isinstance(found, type):
        assert found.__doc__
        assert found.__module__.startswith("marketfeed")


def test_there_is_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Market'"):
        getattr(marketfeed, "Market")  # noqa: B009 # a type checker would see it at once


def test_the_version_is_the_packages() -> None:
    assert marketfeed.__version__ == version("marketfeed")


def test_type_checkers_see_what_users_write() -> None:
    check = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "tests/typing_api.py"]
    run = subprocess.run(check, capture_output=True, text=True, check=False, cwd=ROOT, timeout=110)
    ours = [line for line in run.stdout.splitlines() if line.startswith("tests/typing_api.py")]
    assert not ours, "\n".join(ours)
    assert "marketfeed/" in run.stdout or run.returncode == 0, run.stdout + run.stderr
