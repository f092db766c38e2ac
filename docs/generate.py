"""Write the reference pages that are made from the code: events, errors, commands, stats.

python -m docs.generate          write them
python -m docs.generate --check  end with 1 where one of them is not what the code says

A page ends where this file says nothing about it: everything in it is a docstring, a type or a help text.
"""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import click
import msgspec

from marketfeed import cli, errors, events, metrics, stats
from marketfeed.cli import _exit
from marketfeed.counts import Counts

REFERENCE = Path(__file__).parent / "reference"
MADE = "<!-- Made by `python -m docs.generate`: change the code, then run it again. -->\n\n"
WIDTH = 100

HEAD = {"symbol": "BTC-USD", "ts_event": 1790000000123456000, "ts_recv": 1790000000130000000}
EXAMPLES: tuple[events.Head, ...] = (
    events.Trade(venue="kraken", seq_local=41, price=64999.5, size=0.1, side="buy", id="10218208", **HEAD),
    events.Ticker(venue="kraken", seq_local=42, bid=64999.5, bid_size=0.4, ask=64999.6, ask_size=1.2, **HEAD),
    events.BookSnapshot(
        venue="kraken", seq_local=43, epoch=1, seq=1, depth=10, bids=((64999.5, 0.4),), asks=((64999.6, 1.2),), **HEAD
    ),
    events.BookDelta(
        venue="kraken", seq_local=44, epoch=1, seq=2, prev_seq=1, bids=((64999.5, 0.0),), asks=(), **HEAD
    ),
    events.Gap(
        venue="kraken", symbol="BTC-USD", ts_recv=1790000000130000000, seq_local=45, channel="trades",
        cause="trade ids", from_seq=10218209, to_seq=10218210, ts_from=1790000000130000000, ts_to=1790000000180000000,
    ),
    events.Block(
        venue="mempool", symbol="BTC", ts_event=1743541850000000000, ts_recv=1743541853000000000, seq_local=46,
        height=890448, hash="000000000000000000019bfe551da67e0d93dda4b355d16f1fdb4031ba7e5d61",
        difficulty=113757508810854.0, bits=386038124, subsidy=312500000, fees=2998786,
    ),
    events.NetworkStats(
        venue="mempool", symbol="BTC", ts_recv=1743541853000000000, seq_local=47, height=890448,
        difficulty=113757508810854.0, bits=386038124, hashrate=8.14307966695083e20, reward=312500000, fees=2998786.0,
        fees_blocks=144, epoch_blocks=1393, retarget_height=891072, subsidy_height=1050000, next_subsidy=156250000,
    ),
)  # fmt: skip
"""One line of JSON for the kinds that are read most."""
PARTS: tuple[Any, ...] = (events.Input, events.Term)
"""What some events hold: no events themselves."""


def events_page() -> str:
    """Every event: its meaning, its fields, and how it looks as JSON."""
    head = {field.name for field in msgspec.structs.fields(events.Head)}
    doc = _doc(events)
    text = [f"# Events\n\n{MADE}{doc.partition(chr(10))[2].strip()}\n"]
    text.append("## Kinds\n\n| event | `kind` in JSON | channel |\n|---|---|---|")
    for kind in events.EVENT_TYPES:
        text.append(f"| [`{kind.__name__}`](#{kind.__name__.lower()}) | `{_tag(kind)}` | {_channel(kind)} |")
    text.append(f"\n## The head of all events\n\n{_fields(events.Head, set())}")
    examples = {type(event): event for event in EXAMPLES}
    for title, kinds in (
        ("Market data", events.MARKET_TYPES),
        ("Reference", (events.Instrument,)),
        ("Chains and mining", (*events.CHAIN_TYPES, *PARTS)),
        ("Life and loss", events.LIFE_TYPES),
    ):
        text.append(f"\n## {title}")
        for kind in kinds:
            text.append(f"\n### {kind.__name__}\n\n{_doc(kind)}\n\n{_fields(kind, head)}".rstrip())
            for name, method in _methods(kind):
                text.append(f"\n`{name}{_signature(method)}`: {_doc(method)}")
            if kind in examples:
                text.append(f"\n```json\n{events.encode_json(examples[kind]).decode()}\n```")
    return "\n".join(text) + "\n"


def errors_page() -> str:
    """The tree of errors and what each carries."""
    first, _, rest = _doc(errors).partition("\n")
    tree, _, last = rest.rpartition("\n\n")
    text = [f"# Errors\n\n{MADE}{first}\n\n```text\n{inspect.cleandoc(tree).strip()}\n```\n\n{last}\n"]
    for kind in _errors():
        carried = ", ".join(f"`{name}`" for name in _carried(kind))
        parents = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        text.append(f"## {kind.__name__}\n\n{_doc(kind)}\n")
        text.append(f"A kind of {parents}." + (f" It carries {carried}.\n" if carried else "\n"))
    return "\n".join(text)


def commands_page() -> str:
    """Every command: one row, then its help as the terminal shows it."""
    text = [f"# Commands\n\n{MADE}```text\n{_help(cli.cli, 'marketfeed')}\n```\n"]
    text.append("| command | what it does |\n|---|---|")
    for name, about in cli.COMMANDS.items():
        text.append(f"| [`marketfeed {name}`](#marketfeed-{name}) | {about} |")
    text.append("\n## Exit codes\n\nOf every command.\n\n| code | meaning |\n|---|---|")
    text += [f"| {code} | {meaning} |" for code, meaning in _exit.MEANINGS.items()]
    context = click.Context(cli.cli, info_name="marketfeed", help_option_names=_help_names())
    for name in cli.COMMANDS:
        command = cli.cli.get_command(context, name)
        assert command is not None
        text.append(f"\n## marketfeed {name}\n\n```text\n{_help(command, name, context)}\n```")
    return "\n".join(text) + "\n"


def stats_page() -> str:
    """What `feed.stats()` holds, and what Prometheus is told of it."""
    parts = {getattr(stats, name) for name in vars(stats) if isinstance(getattr(stats, name), type)}
    kinds = [kind for kind in parts if issubclass(kind, msgspec.Struct) and kind.__module__ == stats.__name__]
    order = ["Stats", "VenueStats", "StreamStats", "ConsumerStats"]
    kinds.sort(key=lambda kind: (order.index(kind.__name__) if kind.__name__ in order else len(order), kind.__name__))
    text = [f"# Stats and metrics\n\n{MADE}{_doc(stats)}\n\n[How to use them](../how-to/watch-a-feed.md)."]
    for kind in kinds:
        rows = [f"| `{name}` | {_held(of)} |" for name, of in get_type_hints(kind).items()]
        text.append(f"\n## {kind.__name__}\n\n{_doc(kind)}\n")
        text += ["| field | type |", "|---|---|", *rows]
    text.append(f"\n## Counts\n\n{_doc(Counts)}\n")
    text.append(f"Fields: {', '.join(f'`{name}`' for name in Counts.__struct_fields__)}.")
    text.append(f"\n## Metrics\n\n{_doc(metrics)}\n\nEach name begins with `marketfeed_`. {COUNTED}\n")
    text += ["| name | kind | labels | what it is |", "|---|---|---|---|"]
    for one in metrics.METRICS:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        text.append(f"| `{one.name}` | {one.kind} | {labels} | {one.help} |")
    return "\n".join(text) + "\n"


COUNTED = "Counters are served with `_total` after it, histograms with `_bucket`, `_count` and `_sum`."


def _held(of: Any) -> str:
    """A type of a field of `stats`, with a link to what has a heading of its own."""
    words = _type(of) if get_origin(of) not in (dict, list) else str(of)
    words = re.sub(r"marketfeed\.\w+\.", "", words.replace("<class '", "").replace("'>", "")).replace("|", "or")
    return re.sub(r"\b([A-Z]\w+)\b", lambda m: f"[{m[1]}](#{m[1].lower()})" if m[1] != "None" else m[1], words)


PAGES: dict[str, Callable[[], str]] = {
    "events.md": events_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
    "stats.md": stats_page,
}


def _doc(of: object) -> str:
    return inspect.getdoc(of) or ""


def _tag(kind: type[events.Head]) -> str:
    return str(kind.__struct_config__.tag)


def _channel(kind: type[events.Head]) -> str:
    if "channel" in kind.__struct_fields__:
        return "named in it"
    blank: dict[str, Any] = {field.name: None for field in msgspec.structs.fields(kind) if field.required}
    channel = events.channel_of(kind(**blank))
    return f"`{channel}`" if channel else ""


def _fields(kind: type[msgspec.Struct], left_out: set[str]) -> str:
    rows = []
    for field in msgspec.structs.fields(kind):
        if field.name not in left_out:
            default = "" if field.required else f"`{field.default!r}`"
            rows.append(f"| `{field.name}` | {_type(field.type, field.name)} | {default} |")
    return (
        "\n".join(["| field | type | default |", "|---|---|---|", *rows]) if rows else "It has no more than the head."
    )


def _type(of: Any, name: str = "") -> str:
    """A type as readers call it. Where a float is a time, the name of its field says so."""
    if isinstance(of, TypeVar):
        return "number"
    if of in PARTS:
        return f"[`{of.__name__}`](#{of.__name__.lower()})"
    origin, args = get_origin(of), get_args(of)
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in args)
    if origin in (Union, UnionType):
        return " or ".join(_type(arg, name) for arg in args)
    if origin is tuple:
        inside = get_args(args[0])
        return "list of (price, size)" if inside else f"list of {_type(args[0])}"
    number = "seconds" if name.endswith("_s") else "number"
    return {str: "text", int: "integer", bool: "true or false", float: number, type(None): "None"}.get(of, str(of))


def _methods(kind: type) -> list[tuple[str, Callable[..., Any]]]:
    return [(n, m) for n, m in vars(kind).items() if inspect.isfunction(m) and not n.startswith("_")]


def _signature(method: Callable[..., Any]) -> str:
    return "(" + ", ".join(name for name in inspect.signature(method).parameters if name != "self") + ")"


def _errors() -> list[type[Exception]]:
    """In the order of the tree."""
    named = re.findall(r"\b[A-Z]\w+", errors.__doc__ or "")
    return [getattr(errors, name) for name in dict.fromkeys(named) if inspect.isclass(getattr(errors, name, None))]


def _carried(kind: type[Exception]) -> list[str]:
    """What an instance has besides its message."""
    made = {
        "UnknownVenue": ("krakn", ["kraken"]), "UnknownSymbol": ("kraken", "BTC-USX", ["BTC-USD"]),
        "MissingExtra": ("a thing", "fast"), "NotLive": ({},), "BookNotTrusted": ("kraken:BTC-USD:book", "void", "gap"),
    }.get(kind.__name__, ("",))  # fmt: skip
    return list(vars(kind(*made)))


def _help_names() -> list[str]:
    return list(cli.cli.context_settings["help_option_names"])


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> str:
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=_help_names(),
    )
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them."""
    wrong = 0
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if "--check" in arguments:
            same = path.exists() and path.read_text() == text
            wrong += not same
            print(f"{'same' if same else 'OLD '}  {path}")
        else:
            path.write_text(text)
            print(f"wrote {path}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
