"""What all tests share: captures of real venues, a gate against leaked tasks, how hard Hypothesis tries."""

import asyncio
import inspect
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from marketfeed import budgets
from marketfeed.log_limit import Limit

ROOT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell's background job ignores Ctrl-C, and so would the commands that tests start and interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile(
    "fast", max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile("thorough", max_examples=3000, deadline=None, suppress_health_check=_SLOW_IS_FINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of captured payloads: MARKETFEED_CAPTURES, or ../shared/captures beside the project."""
    named = os.environ.get("MARKETFEED_CAPTURES")
    folder = Path(named) if named else ROOT.parent / "shared" / "captures"
    if not folder.is_dir():
        pytest.skip(f"no captures in {folder}; name their folder in MARKETFEED_CAPTURES")
    return folder


@pytest_asyncio.fixture
async def leak_gate() -> AsyncIterator[None]:
    """An async test must leave no task behind (I15)."""
    before = asyncio.all_tasks()
    yield
    for _ in range(3):  # what was cancelled needs a turn of the loop to end
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
    assert not left, f"tasks left behind: {left}"


@pytest.fixture(autouse=True)
def _leak_gate_for_async_tests(request: pytest.FixtureRequest) -> None:
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("leak_gate")


@pytest.fixture(autouse=True)
def _budgets_of_their_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A venue's budget lasts as long as the process, and its bans longer: what a test spends is its own."""
    monkeypatch.setenv("MARKETFEED_STATE", "")
    yield
    budgets._known.clear()


@pytest.fixture(autouse=True)
def _logs_of_their_own() -> Iterator[None]:
    """What one test logs a lot of is not left out for the next one."""
    yield
    for name in list(logging.root.manager.loggerDict):
        for one in logging.getLogger(name).filters:
            if isinstance(one, Limit):
                one._seen.clear()
