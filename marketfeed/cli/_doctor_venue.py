"""What `doctor` finds of a venue: name, connection, certificate, WebSocket and REST, each with the time it took."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from ..budgets import budget_of
from ..clock import SystemClock
from ..cold_start import books
from ..errors import ConfigError, TransportError
from ..rest import AiohttpRest, Reply
from ..settings import VenueSettings, credentials
from ..subscriptions import Subscription
from ..transport import NO_HEADERS, Link, Transport, is_loopback, proxy_for, split_url
from ..transports._dial import dial
from ..transports._failures import ADVICE, failed
from ..venues._spec import Endpoints, LinkPlan, Request, Venue
from ._doctor import Finding
from ._figures import SECOND, length, many

STEP_S = 5.0
SOON_S = 14 * 86_400
"""A certificate that ends within that is told."""
PORTS = {"wss": 443, "https": 443, "ws": 80, "http": 80}
REFUSED = frozenset({401, 403, 418, 429, 451})

NAME = "look at the resolver (/etc/resolv.conf), at a VPN, and whether other names resolve"
TCP = "a firewall may be in the way; where a proxy is needed, name it in HTTPS_PROXY"
CLOSED = "nothing listens there: see whether the node runs, and whether the endpoint is right (marketfeed venues)"
BAN = "this address asked too much, or is not served: wait, and see what else uses it"
PROXY = "look at the proxy that the environment names, or keep it out of the way with NO_PROXY"
TLS = (
    "look at this machine's clock first; where a firewall replaces certificates, name its authority in SSL_CERT_FILE; "
    "where a region is cut off, choose another endpoint with --endpoint"
)


class Ahead(NamedTuple):
    """How far our clock is ahead of a server's, in seconds: between these two."""

    low: float
    high: float


class _Nobody:
    """Listens to a link of which nothing is wanted but that it stands."""

    def on_frames(self, frames: list[bytes], recv_ns: int) -> None:
        """See `LinkListener`."""

    def on_pong(self) -> None:
        """See `LinkListener`."""

    def on_closed(self, code: int, reason: str) -> None:
        """See `LinkListener`."""


class Visit:
    """One venue looked at. `reached` says whether it answered at all, `ahead` what it said of our clock."""

    def __init__(self, venue: Venue, settings: VenueSettings, transport: Transport, many: int) -> None:
        self.venue = venue
        self.reached = False
        self.ahead: Ahead | None = None
        self._settings = settings
        self._at: Endpoints = settings.endpoints(venue.endpoints)
        self._transport = transport
        self._many = many
        self._clock = SystemClock()
        self._budget = budget_of(self._at, venue.pace, self._clock)

    async def findings(self) -> AsyncIterator[Finding]:
        """What there is to say, as it is found."""
        link = self._link()
        urls = [url for url in (link.url, self._at.rest) if url]
        unique = {_place(url): url for url in reversed(urls)}
        down: set[tuple[str, int]] = set()
        said: list[Finding] = []
        for place, url in [] if self._banned_ns() else reversed(unique.items()):
            async for finding in self._way(url):
                if finding not in said:  # a proxy that is no URL is one finding, whatever hosts are behind it
                    yield finding
                said.append(finding)
                if finding.status == "fail":
                    down.add(place)
        for url, check in ((link.url, self._websocket), (self._at.rest, self._rest)):
            if url and _place(url) not in down and not self._banned_ns():
                async for finding in check():
                    yield finding
        if left := self._banned_ns():
            self.reached = True
            text = f"it sent this address away: neither connected to nor asked for {length(left)}"
            yield self._say("ban", text, status="fail", advice=BAN)
        if "book" in self.venue.channels and self._many:
            yield self._plan()

    def _link(self) -> LinkPlan:
        """The first connection that a feed would make."""
        coin = self.venue.coins[0] if self.venue.coins else "BTC-USD"
        wanted = Subscription(self.venue.name, coin, self.venue.channels[0])
        return self.venue.plan(self._at, [wanted], self.venue.pace)[0]

    def _say(self, check: str, text: str, **more: object) -> Finding:
        return Finding(about=self.venue.name, check=check, text=text, **{"status": "ok", **more})  # type: ignore[arg-type] # fields of one

    async def _way(self, url: str) -> AsyncIterator[Finding]:
        """Name, TCP and TLS to a host, where no proxy stands between."""
        host, port = _place(url)
        try:
            proxy = proxy_for(url, self._settings.proxy)
        except ConfigError as exc:
            yield self._say("proxy", str(exc), status="fail", advice=PROXY)
            return
        if proxy is not None:
            yield self._say("way", f"{host} through the proxy {urlsplit(proxy).hostname}", status="note")
            return
        loop, began = asyncio.get_running_loop(), time.monotonic()
        try:
            async with asyncio.timeout(STEP_S):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError) as exc:
            yield self._say("name", str(failed(exc, host, STEP_S)), status="fail", advice=NAME)
            return
        many = len({address[4][0] for address in found})
        if not is_loopback(host):
            yield self._say("name", f"{host}: {many} address" + "es" * (many != 1), ms=_ms(began))
        began = time.monotonic()
        try:
            async with asyncio.timeout(STEP_S):
                connected = await dial(host, port)
        except (OSError, TimeoutError) as exc:
            advice = CLOSED if isinstance(exc, ConnectionRefusedError) else TCP
            yield self._say("tcp", str(failed(exc, f"{host}:{port}", STEP_S)), status="fail", advice=advice)
            return
        yield self._say("tcp", f"{host}:{port}", ms=_ms(began))
        if url.startswith(("wss", "https")):
            yield await self._tls(host, connected)
        else:
            connected.close()

    async def _tls(self, host: str, connected: socket.socket) -> Finding:
        began = time.monotonic()
        try:
            version, until = await _secured(host, connected)
        except (OSError, TimeoutError) as exc:
            return self._say("tls", str(failed(exc, host, STEP_S)), status="fail", advice=TLS)
        left = until - time.time()
        return self._say(
            "tls",
            f"{version}, certificate of {host} for {left / 86_400:.0f} more days",
            status="warn" if left < SOON_S else "ok",
            advice="it is the venue's to renew; nothing is to be done here unless this machine's clock is wrong",
            ms=_ms(began),
        )

    async def _turn(self, weight: int | None) -> None:
        """Wait for a turn in the budget that feeds of this process have too."""
        now = self._clock.mono_ns()
        at = self._budget.connect_at(now) if weight is None else self._budget.fetch_at(weight, now)
        await asyncio.sleep(max(0, at - now) / 1e9)

    def _banned_ns(self) -> int:
        """How long the venue is left alone, since it said so to this process or to one before."""
        return max(0, self._budget.blocked_until - self._clock.mono_ns())

    def _heed(self, status: int, retry_after_s: float | None) -> None:
        self._budget.heed(status, retry_after_s, self._clock.mono_ns(), 0.0)

    async def _websocket(self) -> AsyncIterator[Finding]:
        plan = self._link()
        host = split_url(plan.url).hostname or ""
        await self._turn(None)
        began = time.monotonic()
        try:
            link: Link = await self._transport.connect(
                plan.url,
                _Nobody(),
                headers=plan.headers or NO_HEADERS,
                max_message=self.venue.pace.max_message,
                timeout_s=STEP_S,
                proxy=self._settings.proxy,
                clock=self._clock,
            )
        except (TransportError, ConfigError) as exc:
            status = getattr(exc, "status", 0)
            self._heed(status, getattr(exc, "retry_after_s", None))
            yield self._say("websocket", str(exc), status="fail", advice=self._advice(plan.url, status))
            return
        took = _ms(began)
        link.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await link.wait_closed()
        self.reached = True
        yield self._say("websocket", f"{host} opens", ms=took)

    async def _rest(self) -> AsyncIterator[Finding]:
        """Two calls: of the first connection, and of the way there and back."""
        host = split_url(self._at.rest).hostname or ""
        try:
            keys = credentials(self.venue)
        except ConfigError as exc:
            yield self._say("rest", str(exc), status="warn", advice="the venue is asked without it")
            keys = {}
        listing = self.venue.instruments_requests(["BTC-USD"])
        request = listing[0] if listing else Request("/")
        request = Request(request.path, headers={**keys, **request.headers}, weight=request.weight)
        rest = AiohttpRest(STEP_S, self._settings.proxy)
        try:
            reply, _ = await self._call(rest, request)
            if reply.status not in REFUSED and reply.status < 500:
                _, took = await self._call(rest, request)
                yield self._say("rest", f"{host} answers", ms=took)
            else:
                words = ADVICE.get(reply.status, "it is in trouble")
                advice = self._advice(self._at.rest, reply.status)
                yield self._say("rest", f"{host} answers HTTP {reply.status}: {words}", status="fail", advice=advice)
        except (TransportError, ConfigError) as exc:
            yield self._say("rest", str(exc), status="fail", advice=self._advice(self._at.rest, 0))
        finally:
            await rest.close()

    async def _call(self, rest: AiohttpRest, request: Request) -> tuple[Reply, float]:
        await self._turn(request.weight)
        began, before = time.monotonic(), time.time()
        reply = await rest.fetch(self._at.rest, request)
        self.reached = True
        self._heed(reply.status, reply.retry_after_s)
        self.ahead = _ahead(reply.date, before, time.time())
        return reply, _ms(began)

    def _advice(self, url: str, status: int) -> str:
        if not status and proxy_for(url, self._settings.proxy):
            return PROXY
        return _advice(status, self.venue.name)

    def _plan(self) -> Finding:
        plan = books(self.venue, self._many, self._settings.pace)
        amount, seconds = plan.allowed
        return self._say(
            "budget",
            f"{many(plan.books, 'book')} from nothing: {many(plan.connections, 'connection')}, "
            f"{many(plan.frames, 'frame')}, {many(plan.calls, 'REST call')} of weight {plan.weight:,} "
            f"({amount:,} each {seconds:g} s allowed): {length(round(plan.seconds * SECOND))} by its limits",
        )


async def _secured(host: str, connected: socket.socket) -> tuple[str, int]:
    """TLS over a connection: its version, and when the certificate ends (Unix seconds)."""
    async with asyncio.timeout(STEP_S):
        _, writer = await asyncio.open_connection(
            sock=connected, ssl=ssl.create_default_context(), server_hostname=host
        )
    try:
        found = writer.get_extra_info("ssl_object")
        return str(found.version()), ssl.cert_time_to_seconds(found.getpeercert()["notAfter"])
    finally:
        writer.transport.abort()


def _advice(status: int, venue: str) -> str:
    if status in {403, 451}:
        return f"this address is not served: choose another endpoint, --endpoint {venue}=wss://HOST,https://HOST"
    if status in {418, 429}:
        return "this address asked too much: wait, and see what else uses it"
    if status >= 500:
        return "it may pass: see what the venue says of itself, and try again"
    if status == 401:
        return "set the password in the environment, see docs/reference/settings.md"
    return f"look at the endpoint (marketfeed venues), or set another: --endpoint {venue}=wss://HOST,https://HOST"


def _ahead(date: str, before: float, after: float) -> Ahead | None:
    """What a Date header says of our clock: it is cut to the second, and was written between these two times."""
    try:
        said = parsedate_to_datetime(date[:64]).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return Ahead(before - said - 1, after - said)


def _place(url: str) -> tuple[str, int]:
    """Host and port."""
    parts = split_url(url)
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
