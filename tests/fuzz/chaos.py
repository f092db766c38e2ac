"""Chaos over loopback: three venues and a node behind proxies that harm, a feed, two recorders and a command.

Every event is audited, every live book held to the oracle. In the end all output (what the commands print, logs at
DEBUG, events as JSON, both recordings) is searched for the keys that were planted and for what a terminal would obey:
G12, G13. `make chaos SEED=1 SECONDS=60`.
"""

import argparse
import asyncio
import base64
import gzip
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict, deque
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from random import Random
from typing import Any

from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue, sim
from marketfeed.events import MARKET_TYPES, Head, channel_of, encode_json
from marketfeed.sim import bitcoind
from marketfeed.sim.bad_frames import BAD_FRAMES
from marketfeed.sim.wire import Frame, Hangup

from ..chaos_proxy import ChaosProxy
from ..loopback.rig import NEEDLE, VENUES, Auditor
from ..virtual import until
from . import ctrl_c, figures
from .oracle import KRAKEN_DEPTH, SYMBOLS, Checker, WrongBook

NODE_KEY, PROXY_KEY, OTHER_KEY = "canarynode-4f7d", "canaryproxy-91ce", "canaryelse-c02a"
HOSTILE = "\x1b[31mowned\x1b]0;title\x07\x9b2J\u202egnp.exe\u200b\r\nX: y"
WORDS = json.dumps(HOSTILE)
HOSTILE_FRAMES = [
    f'{{"channel":"status","type":"update","data":[{{"system":{WORDS}}}]}}',
    f'{{"channel":{WORDS},"sequence_num":1,"events":[]}}',
    f'{{"type":"error","message":{WORDS}}}',
    f'{{"method":"subscribe","success":false,"error":{WORDS},"symbol":"BTC/USD"}}',
    f'{{"stream":{WORDS},"data":{{"e":{WORDS},"s":"BTCUSDT"}}}}',
    f'{{"error":{{"code":2,"msg":{WORDS}}},"id":1}}',
    HOSTILE,
]
REFUSAL = (
    b"HTTP/1.1 503 \x1b[31mowned\r\nContent-Length: 9\r\nRetry-After: \x1b[1m\r\nConnection: close\r\n\r\n"
    b"\x1b]0;owned\x07"
)
PACE = {"silence_s": 2.0, "ping_idle_s": 0.5, "pong_wait_s": 0.5, "ack_s": 1.0, "first_data_s": 2.0}
CALM_S = 0.4
HEALED_S = 75.0
"""All is to flow again by then: where two handshakes in a row were spoiled, the third comes after a minute."""
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x80-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class Ids:
    """Trade ids of one market: each once, and every one that is left out named in a `Gap` before what is newer."""

    def __init__(self) -> None:
        self._last = 0
        self._told: list[tuple[int, int]] = []
        self._recent: deque[Head] = deque(maxlen=12)

    def take(self, event: Head) -> None:
        """Raises AssertionError where one is missing, and nobody said so."""
        self._recent.append(event)
        if isinstance(event, mf.Gap):
            self._told.append((event.from_seq, event.to_seq))
        elif isinstance(event, mf.Trade):
            number = int(event.id)
            missing = range(self._last + 1, number) if self._last else range(0)
            untold = [n for n in missing if not any(first <= n <= last for first, last in self._told)]
            assert not untold, f"{untold[0]} to {untold[-1]} are missing, untold:\n" + "\n".join(map(str, self._recent))
            self._last = max(self._last, number)


class Chaos:
    """The plant, the proxies, the feed, and what happened."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.dice = Random(seed)
        self.folder = folder
        self.done: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.audit = Auditor(renewals=True)
        self.checkers: dict[str, Checker] = {}
        self.ids: defaultdict[str, Ids] = defaultdict(Ids)
        self.wrong: list[BaseException] = []
        self.proxies: dict[str, ChaosProxy] = {}

    async def run(self, seconds: float) -> dict[str, Any]:
        """Harm for so long, then let all recover. Returns figures; raises what was wrong first."""
        from marketfeed.recording import RawRecorder, Recorder  # noqa: PLC0415 # needs an extra

        bitcoind.AUTH = f"miner:{NODE_KEY}"
        async with AsyncExitStack() as stack:
            names = (*VENUES, "bitcoind")
            symbols = sorted({s for listed in SYMBOLS.values() for s in listed})
            self.plant = await stack.enter_async_context(
                sim.Simulator(names, seed=self.dice.randrange(1 << 30), rate=60, symbols=symbols)
            )
            settings = {}
            for name in names:
                settings[name] = await self._behind_proxy(name, stack)
            self._announce(settings)
            feed = await stack.enter_async_context(mf.Feed(settings, dice=self.dice.random))
            await stack.enter_async_context(RawRecorder(feed, self.folder / "raw", simulated=True))
            await stack.enter_async_context(Recorder(feed, self.folder / "data", simulated=True, rotate_s=10))
            self._listen(feed)
            await feed.live(timeout=20)
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                await asyncio.sleep(self.dice.uniform(0.1, 2 * CALM_S))
                self._check()
                await self._harm()
            healed = time.monotonic()
            await self._heal()
            try:
                await until(lambda: not feed.waiting(), HEALED_S)
            except AssertionError:
                raise AssertionError(f"after {HEALED_S:g} s there wait {feed.waiting()}") from None
            marks = {name: one.checked for name, one in self.checkers.items()}
            await until(lambda: self.wrong or all(o.checked > marks[n] + 20 for n, o in self.checkers.items()), 20)
            recovered = time.monotonic() - healed
            self._check()
            assert not self.plant.breaches, self.plant.breaches
        return {
            "seconds": seconds,
            "faults": sum(self.done.values()),
            "kinds of fault": len(self.done),
            "events": sum(self.kinds.values()),
            "disconnected": self.kinds["Disconnected"],
            "gaps": self.kinds["Gap"],
            "malformed": self.kinds["Malformed"],
            "books checked": sum(c.checked for c in self.checkers.values()),
            "wrong": len(self.wrong),
            "keys sent": sum(PROXY_KEY in _decoded(head) for head in self.proxies["kraken"].asked),
            "all flowed after s": round(recovered, 1),
        }

    async def _behind_proxy(self, name: str, stack: AsyncExitStack) -> mf.VenueSettings:
        at = self.plant.endpoints[name]
        port = at.rest.rpartition(":")[2]
        proxy = self.proxies[name] = await stack.enter_async_context(ChaosProxy(int(port), self.dice))
        ws, rest = (url.replace(f":{port}", f":{proxy.port}") for url in (at.ws, at.rest))
        pace = structs.replace(catalogue.venue(name).pace, **(PACE if name in VENUES else {"poll_s": 0.5}))
        if pace.frames_by_address:  # `tail` beside us is of the same address, and takes as much as we would
            pace = structs.replace(pace, frames_per_s=pace.frames_per_s / 2)
        connect = f"http://trader:{PROXY_KEY}@127.0.0.1:{proxy.port}" if name == "kraken" else None
        ws, rest = (at.ws, at.rest) if connect else (ws, rest)
        return mf.VenueSettings(ws=ws or None, rest=rest, pace=pace, proxy=connect, max_resyncs=100)

    def _announce(self, settings: dict[str, mf.VenueSettings]) -> None:
        """Say where the venues are, for the command beside us."""
        found = {n: f"{s.ws},{s.rest}" for n, s in settings.items() if n in ("binance", "coinbase")}
        (self.folder / "endpoints.json").write_text(json.dumps(found))

    def _listen(self, feed: mf.Feed) -> None:
        for venue in VENUES:
            depth = KRAKEN_DEPTH if venue == "kraken" else None
            for symbol in SYMBOLS[venue]:
                name, oracle = f"{venue}:{symbol}", self.plant.oracle(venue, symbol)
                self.checkers[name] = Checker(feed, name, oracle, by_seq=venue == "binance", depth=depth)
                feed.subscribe(name, trades=True, ticker=True, book=depth or True)
        feed.subscribe("bitcoind:BTC", chain=True)
        for kind in Head.__subclasses__():
            feed.on(kind, self._take)

    def _take(self, event: Head) -> None:
        self.kinds[type(event).__name__] += 1
        if type(event) not in MARKET_TYPES or self.dice.random() < 0.01:
            print(encode_json(event).decode())
        try:
            self.audit.take(event)
            self.audit.events.clear()
            if channel_of(event) == "trades":
                self.ids[f"{event.venue}:{event.symbol}"].take(event)
            if isinstance(event, mf.BookSnapshot | mf.BookDelta):
                self.checkers[f"{event.venue}:{event.symbol}"].take(event)
        except (AssertionError, KeyError, WrongBook) as exc:
            self.wrong.append(exc)

    def _check(self) -> None:
        if self.wrong:
            raise self.wrong[0]

    async def _harm(self) -> None:
        """One fault, at one venue."""
        dice = self.dice
        venue = dice.choice((*VENUES, "bitcoind"))
        proxy = self.proxies[venue]
        kind = dice.choice(
            ("heal", "way", "way", "way", "venue", "venue", "words") if venue in VENUES else ("heal", "way")
        )
        if kind == "heal":
            await self._heal()
        elif kind == "way":
            await self._harm_way(venue, proxy)
        elif kind == "venue":
            what, where = dice.choice(
                [
                    *[(name, NEEDLE[venue]) for name in ("drop", "dup", "reorder", "corrupt", "checksum")],
                    *[("close", str(code)) for code in (1000, 1001, 1008, 1011, 1012, 4000)],
                    *[("frame", name) for name in BAD_FRAMES],
                    *[("cut", ""), ("stall", ""), ("pings", ""), ("mute", dice.choice(("book", "trades", "ticker")))],
                ]
            )
            self.done[f"{what} {where if what in ('close', 'frame', 'mute') else ''}".strip()] += 1
            self.plant.inject(venue, what, where)
        else:
            self.done["hostile words"] += 1
            for link in list(self.plant._server(venue).links):
                link.offer([Frame(dice.choice(HOSTILE_FRAMES), data=False)])
                if dice.random() < 0.3:
                    link.say(Hangup(4001, HOSTILE[:40]))

    async def _harm_way(self, venue: str, proxy: ChaosProxy) -> None:
        dice = self.dice
        what = dice.choice(
            [
                "latency",
                "bandwidth",
                "slow close",
                "timeout",
                "reset",
                "slicer",
                "limit",
                "down",
                "corrupt",
                "half-open",
                "fin",
                "503",
            ]
        )
        self.done[what] += 1
        match what:
            case "latency":
                proxy.latency_s = proxy.jitter_s = 0.05
            case "bandwidth":
                proxy.bandwidth = dice.choice((20, 1_000, 20_000))
            case "slow close":
                proxy.slow_close_s = 1.0
                self.plant.inject(venue, "cut")
            case "timeout":
                proxy.timeout(dice.uniform(0.1, 2))
            case "reset":
                proxy.reset(within=2_000)
            case "slicer":
                proxy.slice_bytes = (1, 64)
            case "limit":
                proxy.limit_bytes = dice.randrange(1, 50_000)
            case "down":
                await proxy.down()
                await asyncio.sleep(dice.random())
                await proxy.up()
            case "corrupt":
                proxy.corrupt(dice.randrange(1, 4))
            case "half-open":
                proxy.half_open()
            case "fin":
                proxy.cut()
            case _:
                proxy.answers = [REFUSAL] * dice.randrange(1, 4)
                proxy.cut()

    async def _heal(self) -> None:
        for proxy in self.proxies.values():
            proxy.heal()
            proxy.answers.clear()
            await proxy.up()


def _decoded(head: bytes) -> str:
    """The Proxy-Authorization of a CONNECT."""
    found = re.search(rb"(?i)proxy-authorization: basic (\S+)", head)
    return base64.b64decode(found[1]).decode() if found else ""


def inside(seed: int, seconds: float, folder: Path) -> None:
    """What the child process does; its output is searched by its parent."""
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    found = mf.run(Chaos(seed, folder).run(seconds))
    (folder / "figures.json").write_text(json.dumps(found))


KEYS = [
    form
    for key, user in ((NODE_KEY, "miner"), (PROXY_KEY, "trader"), (OTHER_KEY, "nobody"))
    for form in (
        key,
        base64.b64encode(f"{user}:{key}".encode()).decode().rstrip("="),
        base64.b64encode(key.encode()).decode()[:12],
    )
]


def search(name: str, text: str) -> list[str]:
    """Keys and what a terminal would obey, with what stands around."""
    found = [f"{name}: the key {key}" for key in KEYS if key in text]
    match = _OBEYED.search(text)
    return found + ([f"{name}: {text[max(0, match.start() - 60) : match.end() + 20]!r}"] if match else [])


def recorded(folder: Path) -> list[tuple[str, str]]:
    """All that stands in the recordings, as text; keys alone are looked for in files as they are."""
    import marketfeed.recording as recording  # noqa: PLC0415 # needs an extra

    texts = [
        ("the dataset's events", "\n".join(encode_json(e).decode() for e in recording.open(folder / "data").events()))
    ]
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.parent != folder):
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        shown = str(path.relative_to(folder))
        texts.append(
            (shown, raw.decode("utf-8", "replace") if "raw/" in shown else raw.decode("latin-1").translate(_PLAIN))
        )
    return texts


_PLAIN = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")


def end(child: "subprocess.Popen[bytes]") -> None:
    """Let no child outlive the folder that it writes to."""
    child.kill()
    child.wait()


def run(seed: int, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """A child full of chaos, a command beside it, and the search. Returns figures and what was found."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, ExitStack() as stack:
        folder = Path(name)
        env = os.environ | {
            "MARKETFEED_BITCOIND_AUTH": f"miner:{NODE_KEY}",
            "HTTPS_PROXY": f"http://nobody:{OTHER_KEY}@127.0.0.1:9",
            "NO_COLOR": "1",
        }
        own = [
            sys.executable,
            "-m",
            "tests.fuzz.chaos",
            "--inside",
            name,
            "--seed",
            str(seed),
            "--seconds",
            str(seconds),
        ]
        outputs = {n: (folder / n).open("wb") for n in ("chaos.out", "chaos.err", "tail.out", "tail.err")}
        child = subprocess.Popen(own, env=env, stdout=outputs["chaos.out"], stderr=outputs["chaos.err"])
        stack.callback(end, child)
        told = folder / "endpoints.json"
        while not told.exists() and child.poll() is None:
            time.sleep(0.05)
        tail = None
        if told.exists():
            time.sleep(0.2)
            places = [
                o for n, at in json.loads(told.read_text()).items() for o in ("--endpoint", f"{n}={at}", "--venue", n)
            ]
            line = [sys.executable, "-m", "marketfeed", "tail", "BTC-USD", "--text", "-vv", "--book", *places]
            line += ["--duration", f"{seconds:.0f}s"]
            tail = subprocess.Popen(line, env=env, stdout=outputs["tail.out"], stderr=outputs["tail.err"])
            stack.callback(end, tail)
        code = child.wait()
        if tail is not None:
            tail.wait()
        for file in outputs.values():
            file.close()
        if code:
            sys.stderr.buffer.write((folder / "chaos.err").read_bytes()[-6_000:])
            raise SystemExit(
                f"the chaos run failed; again: python -m tests.fuzz.chaos --seed {seed} --seconds {seconds:g}"
            )
        verify = [sys.executable, "-m", "marketfeed", "verify", str(folder / "data")]
        judged = subprocess.run(verify, env=env, capture_output=True, check=False)
        texts = [(n, (folder / n).read_bytes().decode("utf-8", "replace")) for n in outputs]
        texts += [("verify", (judged.stdout + judged.stderr).decode("utf-8", "replace")), *recorded(folder)]
        hits = [hit for n, text in texts for hit in search(n, text)]
        found: dict[str, Any] = {"seed": seed, **json.loads((folder / "figures.json").read_text())}
        found |= {"verify": judged.returncode, "searched MB": round(sum(len(t) for _, t in texts) / 1e6, 1)}
        found |= {f"lines of {n}": text.count("\n") for n, text in texts[:4]}
        found |= {"hits": len(hits)}
        if judged.returncode:
            print(judged.stdout.decode("utf-8", "replace"))
        return found, hits


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    figures.argument(parser)
    args = parser.parse_args()
    if args.inside:
        inside(args.seed, args.seconds, args.inside)
        return
    found, hits = run(args.seed, args.seconds)
    for hit in hits:
        print(hit)
    figures.tell("chaos", args.figures, [found])
    if hits or found["verify"]:
        raise SystemExit(1)


if __name__ == "__main__":
    ctrl_c.ends(main)
