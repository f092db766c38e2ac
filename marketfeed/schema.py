"""The published contract: a JSON Schema (2020-12) for each kind of event, made from the types.

`python -m marketfeed.schema schemas/` writes one file a kind. Numbers are "number" in both number modes: exact events
carry every digit as a JSON number too. A change that breaks readers needs a new `MAJOR`; see `breaking`.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from . import events
from .errors import ConfigError, nearest
from .events import EVENT_TYPES, Head

MAJOR = 1
"""Version of the contract: part of every `$id`; grows with a change that breaks readers."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_HEAD_FIELD = re.compile(r"- `(\w+)`: (.+?);?\n")


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of every event, by kind (`trade`, `book_delta`), in the order of `EVENT_TYPES`."""
    types: list[Any] = [_with_floats(of) for of in EVENT_TYPES]
    _, found = msgspec.json.schema_components(types)
    made = {}
    for of in EVENT_TYPES:
        body = next(body for name, body in found.items() if name.partition("_float_")[0] == of.__name__)
        kind = str(of.__struct_config__.tag)
        made[kind] = _published(kind, of, body, found)
    return made


def schema(kind: str) -> dict[str, Any]:
    """The schema of one event. Raises ConfigError with the nearest names where there is no such kind."""
    known = schemas()
    wanted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
    if wanted not in known:
        hint = nearest(wanted, known) or f"; there are {', '.join(known)}"
        raise ConfigError(f"no event is called {kind!r}{hint}")
    return known[wanted]


def _with_floats(of: type[Head]) -> Any:
    return of[float] if getattr(of, "__parameters__", ()) else of  # type: ignore[index] # it has a parameter


def _published(kind: str, of: type[Head], body: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    text = inspect.cleandoc(of.__doc__ or "")
    about = dict(_HEAD_FIELD.findall(events.__doc__ or ""))
    for sentence in _sentences(text):
        for name in re.findall(r"`(\w+)`", sentence):
            about[name] = sentence
    properties = {}
    for name, type_ in body["properties"].items():
        described = {"description": about[name]} if name in about else {}
        properties[name] = type_ | described
    parts = sorted(set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(properties))))
    defined = {"$defs": {part: found[part] for part in parts}} if parts else {}
    return {
        "$schema": DIALECT,
        "$id": f"urn:marketfeed:schema:{MAJOR}:{kind}",
        "title": of.__name__,
        "description": " ".join(text.split()),
        "type": "object",
        "properties": properties,
        "required": body["required"],
        **defined,
    }


def _sentences(text: str) -> Iterator[str]:
    for part in re.split(r"(?<=[.:;])\s+", " ".join(text.split())):
        yield part.rstrip(";")


def breaking(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a change of one event's schema takes away from those who read its events; empty where it takes nothing.

    Readers rely on every field that is there, on its type, on those that are always there, and on the words a field can
    say that they know. New fields and new words do not break them.
    """
    found = []
    for name, was in old["properties"].items():
        now = new["properties"].get(name)
        if now is None:
            found.append(f"{name} is gone")
        elif name in old["required"] and name not in new["required"]:
            found.append(f"{name} may be missing")
        elif not _fits(was, now):
            found.append(f"{name} has another type")
    return found


def _fits(was: Any, now: Any) -> bool:
    """Whether what is said now is of the kind it was; words may be added."""
    if isinstance(was, dict) and isinstance(now, dict):
        if "enum" in was and "enum" in now:
            return set(was["enum"]) <= set(now["enum"])
        keys = (was.keys() | now.keys()) - {"description", "default", "title"}
        return all(key in was and key in now and _fits(was[key], now[key]) for key in keys)
    if isinstance(was, list) and isinstance(now, list):
        return len(was) == len(now) and all(map(_fits, was, now))
    return bool(was == now)


def text(of: dict[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(of, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path) -> list[Path]:
    """Write one file a kind, `<kind>.json`, and take away those of kinds that are no more; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{kind}.json": text(of) for kind, of in schemas().items()}
    for path in set(folder.glob("*.json")) - files.keys():
        path.unlink()
    for path, content in files.items():
        path.write_text(content, encoding="utf-8")
    return list(files)


if __name__ == "__main__":
    for written in write(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas")):
        print(written)
