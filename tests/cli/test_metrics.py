"""`--metrics PORT`: a command's feed for Prometheus, on loopback alone."""

import re

import pytest

import marketfeed as mf
from marketfeed.cli import _exit
from marketfeed.cli._metrics import served

from .helpers import call


def test_tail_says_where_its_figures_are():
    result = call("tail", "BTC-USD", "--sim", "--count", "1", "--metrics", "0")
    assert result.exit_code == _exit.OK
    assert re.search(r"^marketfeed: metrics at http://127\.0\.0\.1:\d+/metrics$", result.stderr, re.MULTILINE)
    quiet = call("tail", "BTC-USD", "--sim", "--count", "1", "--metrics", "0", "--quiet")
    assert "metrics" not in quiet.stderr


async def test_a_port_that_is_taken_is_refused_with_its_reason():
    said: list[str] = []
    async with mf.Feed() as feed:
        with served(feed, 0, said.append):
            port = int(re.findall(r":(\d+)/", said[0])[0])
            with pytest.raises(mf.ConfigError, match=f"127.0.0.1:{port}: Address already in use"):
                with served(feed, port, None):
                    pass
        with served(feed, None, said.append):
            assert len(said) == 1
