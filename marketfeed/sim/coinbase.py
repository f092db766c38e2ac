"""Coinbase Advanced Trade, as a server would speak it. Source: docs.cdp.coinbase.com, checked 2026-11-21."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import orjson

from .coinbase_rest import CoinbaseRest
from .instruments import SimInstrument
from .market import Market, Print, Step
from .wire import Batch, Conversation, Dialect, Frame, Hangup, Limit, Now, Out, Reply, names, read_object, rfc3339

MESSAGES = (8, 1.0)
"""Of an address, over all its connections."""
FIRST_S = 5.0
"""A client that has not subscribed by then is cut."""
CHANNELS = ("level2", "market_trades", "ticker", "heartbeats")


class Coinbase(Dialect):
    """The venue: `wss://advanced-trade-ws.coinbase.com` and `https://api.coinbase.com/api/v3/brokerage/market/...`."""

    NAME = "coinbase"
    CONNECTS = (8, 1.0)

    def connect(self, path: str, query: Mapping[str, str], now: Now) -> Conversation | Reply:
        """Any path is accepted; the venue's own is `/`."""
        return CoinbaseConversation(self)

    def rest(self, method: str, path: str, query: Mapping[str, str], now: Now) -> Reply:
        """`/api/v3/brokerage/market/{products,products/<id>,product_book}`."""
        return self._rest.reply(path, query, now)

    @cached_property
    def messages(self) -> Limit:
        """What clients may still say; here they all have one address."""
        return Limit(*MESSAGES)

    @cached_property
    def _rest(self) -> CoinbaseRest:
        return CoinbaseRest(self.listed, self.troubles)


class CoinbaseConversation(Conversation):
    """One connection. `sequence_num` counts every frame but `error`, over all channels."""

    def __init__(self, venue: Coinbase) -> None:
        self._venue = venue
        self._sequence = 0
        self._stamp = 0
        self._subscriptions: dict[str, list[str]] = {}
        """What is subscribed, as asked for: channel to product ids (an alias stays as it was spelled)."""
        self._prints: dict[str, list[Print]] = {}
        self._batches: dict[str, Batch] = {}
        self._late: list[tuple[float, str]] = []
        self._opened = self._beat = 0.0
        self._beats = 0
        self._greeted = False

    def on_open(self, now: Now) -> list[Out]:
        """Nothing is said before the client subscribes."""
        self._opened = now.mono
        self._beats = int(now.mono)
        return []

    def on_text(self, text: str, now: Now) -> list[Out]:
        """`subscribe` and `unsubscribe`, one channel each."""
        message = read_object(text)
        if not self._venue.messages.take(now.mono):
            self._venue.troubles.breach("messages")
            return [_error("rate limit exceeded")]
        if message is None:
            return [_error("failed to parse message")]
        if message.get("type") not in ("subscribe", "unsubscribe"):
            return [_error("type is invalid: expected subscribe or unsubscribe")]
        channel = message.get("channel")
        if not isinstance(channel, str) or channel not in CHANNELS:
            return [_error(f"channel {channel!r} is not supported")]
        wanted = names(message.get("product_ids"))
        if channel != "heartbeats" and not wanted:
            return [_error("product_ids is required")]
        for product in wanted:
            if self._market(product) is None or self._venue.troubles.refuses(product):
                return [_error(f"{product} is not a valid product")]
        self._greeted = True
        if message["type"] == "unsubscribe":
            return self._unsubscribe(channel, wanted, now)
        return self._subscribe(channel, wanted, now)

    def on_step(self, step: Step, now: Now) -> list[Out]:
        """Level changes at once, trades in batches, a ticker where there was a match."""
        name = step.market.instrument.symbol
        out: list[Out] = []
        market, waits = step.market, name in {late[1] for late in self._late}
        if name in self._products("level2") and not waits and step.changes and not self.mutes("book", market):
            out.append(self._frame("l2_data", _level2(step), step.at))
        if name in self._products("market_trades") and not self.mutes("trades", market):
            self._prints.setdefault(name, []).extend(step.trades)
            out += self._flush(name, now, step=True)
        if name in self._products("ticker") and step.trades and not self.mutes("ticker", market):
            out.append(self._frame("ticker", _ticker("update", step.market), step.at))
        return out

    def on_tick(self, now: Now) -> list[Out]:
        """The first-subscribe deadline, late snapshots, batches, heartbeats."""
        if not self._greeted and now.mono - self._opened > FIRST_S:
            self._venue.troubles.breach("first subscribe")
            return [Hangup(1008, "no subscription within 5 s")]
        out: list[Out] = []
        for due in [late for late in self._late if late[0] <= now.mono]:
            self._late.remove(due)
            out += self._book_snapshot(due[1], now)
        for name in [name for name, prints in self._prints.items() if prints]:
            out += self._flush(name, now, step=False)
        if "heartbeats" in self._subscriptions and now.mono - self._beat >= 1.0:
            self._beat = now.mono
            self._beats += 1
            go_time = rfc3339(now.unix, 9).replace("T", " ").replace("Z", " +0000 UTC")
            event = f'{{"current_time":"{go_time} m=+{now.mono:.9f}","heartbeat_counter":{self._beats}}}'
            out.append(self._frame("heartbeats", event, now.unix))
        return out

    def _subscribe(self, channel: str, wanted: Iterable[str], now: Now) -> list[Out]:
        """Trades and ticker snapshots come before the state message, the book's after it: as recorded at the venue."""
        held = self._subscriptions.setdefault(channel, [])
        old = self._products(channel)
        held += [product for product in wanted if product not in held]
        new = [name for name in self._products(channel) if name not in old]
        out: list[Out] = []
        for name in new:
            self.unmute({"level2": "book", "market_trades": "trades"}.get(channel, channel), self._venue.markets[name])
        if channel == "market_trades":
            for name in new:
                self._batches[name] = Batch(0.25, 1 if self._venue.by_hand else None)
                market = self._venue.markets[name]
                out.append(self._frame("market_trades", _trades("snapshot", market, market.recent), now.unix))
        elif channel == "ticker":
            out += [self._frame("ticker", _ticker("snapshot", self._venue.markets[name]), now.unix) for name in new]
        out.append(self._state(now))
        if channel == "level2":
            for name in new:
                out += self._first_book(name, now)
        return out

    def _unsubscribe(self, channel: str, wanted: Iterable[str], now: Now) -> list[Out]:
        held = self._subscriptions.get(channel, [])
        held[:] = [product for product in held if product not in wanted]
        if not held:
            self._subscriptions.pop(channel, None)
        left = self._products(channel)
        if channel == "market_trades":
            self._prints = {name: prints for name, prints in self._prints.items() if name in left}
        if channel == "level2":
            self._late = [late for late in self._late if late[1] in left]
        return [self._state(now)]

    def _market(self, product: str) -> Market | None:
        market = self._venue.markets.get(product)
        if market is None or not market.listed:
            return None
        alias = market.instrument.alias
        return market if alias is None else self._venue.markets.get(alias)

    def _products(self, channel: str) -> list[str]:
        """The products whose frames a channel carries, each once: an alias counts as what it stands for."""
        found = [self._market(product) for product in self._subscriptions.get(channel, ())]
        return list(dict.fromkeys(market.instrument.symbol for market in found if market is not None))

    def _first_book(self, name: str, now: Now) -> list[Out]:
        if self._venue.troubles.withholds_snapshot():
            return []
        if delay := self._venue.troubles.snapshot_delay_s():
            self._late.append((now.mono + delay, name))
            return []
        return self._book_snapshot(name, now)

    def _book_snapshot(self, name: str, now: Now) -> list[Out]:
        market = self._venue.markets[name]
        at = market.stamp(now.unix)
        rows = [("bid", level) for level in market.bids.top()] + [("offer", level) for level in market.asks.top()]
        one, time = market.instrument, short_time(at)
        updates = ",".join(_row(one, side, price, size, time) for side, (price, size) in rows)
        event = f'{{"type":"snapshot","product_id":"{name}","updates":[{updates}]}}'
        return [self._frame("l2_data", event, at)]

    def _flush(self, name: str, now: Now, *, step: bool) -> list[Out]:
        prints = self._prints[name]
        if not prints or not self._batches[name].due(now, step=step):
            return []
        # Newest first inside a batch.
        event = _trades("update", self._venue.markets[name], prints)
        self._prints[name] = []
        return [self._frame("market_trades", event, now.unix)]

    def _state(self, now: Now) -> Frame:
        """The whole state of subscriptions; heartbeats has none of its own products and lists its name."""
        held = {channel: products or [channel] for channel, products in self._subscriptions.items()}
        event = orjson.dumps({"subscriptions": held}).decode()
        return self._frame("subscriptions", event, now.unix)._replace(data=False)

    def _frame(self, channel: str, event: str, at: int) -> Frame:
        number, self._sequence = self._sequence, self._sequence + 1
        return Frame(
            f'{{"channel":"{channel}","timestamp":"{rfc3339(at, 9)}","sequence_num":{number},"events":[{event}]}}'
        )


def short_time(unix_ns: int) -> str:
    """A time in microseconds without trailing zeros, as Go writes it: `2026-08-09T21:05:38.50436Z`."""
    return rfc3339(unix_ns, 6)[:-1].rstrip("0").rstrip(".") + "Z"


def number_text(one: SimInstrument, ticks: int | None = None, lots: int | None = None) -> str:
    """A price or a size without trailing zeros, as the venue writes them: `65155.5`, `0`."""
    text = f"{one.price(ticks):f}" if ticks is not None else f"{one.size(lots or 0):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _row(one: SimInstrument, side: str, price: int, size: int, time: str) -> str:
    p, q = number_text(one, ticks=price), number_text(one, lots=size)
    return f'{{"side":"{side}","event_time":"{time}","price_level":"{p}","new_quantity":"{q}"}}'


def _level2(step: Step) -> str:
    one, time = step.market.instrument, short_time(step.at)
    sides = {"bid": "bid", "ask": "offer"}
    updates = ",".join(_row(one, sides[side], price, size, time) for side, price, size in step.changes)
    return f'{{"type":"update","product_id":"{one.symbol}","updates":[{updates}]}}'


def _trades(kind: str, market: Market, prints: Iterable[Print]) -> str:
    """`side` is the maker's: a taker who bought shows as SELL."""
    one = market.instrument
    rows = ",".join(
        f'{{"product_id":"{one.symbol}","trade_id":"{report.id}","price":"{number_text(one, ticks=report.fill.price)}",'
        f'"size":"{number_text(one, lots=report.fill.size)}","time":"{short_time(report.at)}",'
        f'"side":"{"SELL" if report.fill.taker == "bid" else "BUY"}"}}'
        for report in reversed(list(prints))
    )
    return f'{{"type":"{kind}","trades":[{rows}]}}'


def _ticker(kind: str, market: Market) -> str:
    one, day, last = market.instrument, market.day, market.last_trade.fill
    (bid, bid_size), (ask, ask_size) = market.best()
    row = {
        "type": "ticker",
        "product_id": one.symbol,
        "price": number_text(one, ticks=last.price),
        "volume_24_h": number_text(one, lots=day.volume),
        "low_24_h": number_text(one, ticks=day.low),
        "high_24_h": number_text(one, ticks=day.high),
        "low_52_w": number_text(one, ticks=day.low // 2),
        "high_52_w": number_text(one, ticks=day.high * 2),
        "price_percent_chg_24_h": f"{100 * (last.price - day.open) / day.open:.8f}",
        "best_bid": number_text(one, ticks=bid),
        "best_ask": number_text(one, ticks=ask),
        "best_bid_quantity": number_text(one, lots=bid_size),
        "best_ask_quantity": number_text(one, lots=ask_size),
    }
    return f'{{"type":"{kind}","tickers":[{orjson.dumps(row).decode()}]}}'


def _error(text: str) -> Frame:
    """No channel, no sequence number."""
    return Frame(orjson.dumps({"type": "error", "message": text}).decode(), data=False)
