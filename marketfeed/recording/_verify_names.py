"""The first floor of `verify`: manifests, and whether the names in the folder are those that they tell."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from ..errors import RecordingError
from ..text import escaped
from .disk import RealDisk
from .findings import Findings
from .journal import SUFFIX, read_segment
from .layout import PART, PATTERN, file_at, present
from .manifest import FORMAT, MANIFESTS, Manifest
from .seal import JOURNAL


def read_manifests(root: Path, found: Findings) -> list[Manifest]:
    """Those that count, in order; what is wrong with one of them is found and the others stand."""
    known: list[Manifest] = []
    for path in _listed(root / MANIFESTS, ".json"):
        where = escaped(f"{MANIFESTS}/{path.name}")
        try:
            manifest = msgspec.json.decode(RealDisk().read(str(path)), type=Manifest)
        except PermissionError:
            raise
        except (OSError, ValueError) as exc:
            found.error("manifest", where, f"cannot be read: {escaped(str(exc))}")
            continue
        if not 1 <= manifest.format <= FORMAT:
            detail = f"has format {manifest.format}; this version reads formats 1 to {FORMAT}"
            found.error("manifest", where, detail)
        elif manifest.name != path.name:
            found.error("manifest", where, f"is of frames {manifest.first} to {manifest.last}, which is not its name")
        else:
            known.append(manifest)
    _check_replaced(known, found)
    gone = {name for manifest in known for name in manifest.replaces}
    counting = [manifest for manifest in known if manifest.name not in gone]
    _check_frames(counting, found)
    _check_kinds(counting, found)
    return counting


def _listed(folder: Path, suffix: str) -> list[Path]:
    """Files of that name's end, in order. Raises PermissionError, where `glob` would find nothing."""
    try:
        return [folder / name for name in RealDisk().listing(str(folder)) if name.endswith(suffix)]
    except FileNotFoundError:
        return []


def _check_replaced(known: Sequence[Manifest], found: Findings) -> None:
    names = {manifest.name for manifest in known}
    for manifest in known:
        if left := names & set(manifest.replaces):
            detail = f"stands for {len(left)} that are still there; the next start of a recorder removes them"
            found.note("manifest", f"{MANIFESTS}/{manifest.name}", detail)


def _check_frames(counting: Sequence[Manifest], found: Findings) -> None:
    """Passes follow each other: no frame of the journal is missing, and none was sealed twice."""
    last = 0
    paths: set[str] = set()
    for manifest in sorted(counting, key=lambda one: one.first):
        where = f"{MANIFESTS}/{manifest.name}"
        if manifest.first > last + 1:
            detail = f"frames {last + 1} to {manifest.first - 1} of the journal are in no manifest"
            # a cut says that frames were lost before they could be sealed
            (found.note if manifest.cuts else found.error)("frames", where, detail)
        elif manifest.first <= last:
            detail = f"frames {manifest.first} to {min(last, manifest.last)} of the journal were sealed twice"
            found.error("frames", where, detail)
        last = max(last, manifest.last)
        for entry in manifest.files:
            if entry.path in paths:
                found.error("manifest", where, f"names {escaped(entry.path)}, as another one does")
            paths.add(entry.path)
        for cut in manifest.cuts:
            found.note("cut", where, escaped(cut))


def _check_kinds(counting: Sequence[Manifest], found: Findings) -> None:
    for kind, words in (("exact", ("exact", "float")), ("simulated", ("simulated", "real"))):
        if len({getattr(manifest, kind) for manifest in counting}) > 1:
            found.error("kind", MANIFESTS, f"{words[0]} and {words[1]} data are mixed; keep them in two datasets")


def check_names(root: Path, counting: Sequence[Manifest], found: Findings) -> None:
    """Parquet files that nothing names, and what a crash or a running recorder left."""
    named = {entry.path for manifest in counting for entry in manifest.files}
    unread = {path.stem for path in _listed(root / MANIFESTS, ".json")} - {Path(one.name).stem for one in counting}
    replaced = {Path(name).stem for manifest in counting for name in manifest.replaces}
    for path in sorted(root.glob(PATTERN)):
        name = path.relative_to(root).as_posix()
        if name in named:
            continue
        if path.stem in replaced:
            found.note("left over", escaped(name), "was replaced by compact; the next start of a recorder removes it")
        elif path.stem not in unread:  # else it is the manifest that is wrong
            found.error("stray", escaped(name), "no manifest names it, so no reader takes it")
    for path in sorted(root.glob(PATTERN + PART)):
        name = path.relative_to(root).as_posix()
        if name.removesuffix(PART) in named and present(root / name.removesuffix(PART)) == path:
            detail = "counts, and has not its name yet; the next start of a recorder names it"
        else:
            detail = "is of a pass that did not end, or runs; the next start of a recorder removes it"
        found.note("left over", escaped(name), detail)
    _check_journal(root, counting, found)


def _check_journal(root: Path, counting: Sequence[Manifest], found: Findings) -> None:
    sealed = max((manifest.last for manifest in counting), default=0)
    for path in _listed(root / JOURNAL, SUFFIX):
        where = escaped(f"{JOURNAL}/{path.name}")
        try:
            frames, good, reason = read_segment(data := RealDisk().read(str(path)))
        except PermissionError:
            raise
        except OSError as exc:
            found.error("journal", where, f"cannot be read: {exc.strerror}")
            continue
        waiting = sum(number > sealed for number, _ in frames)
        if waiting:
            found.note(
                "journal", where, f"{waiting} frames wait to be sealed, by the recorder that runs or the next one"
            )
        if reason:
            found.note("journal", where, f"its last {len(data) - good} bytes are not whole: {reason}")


def paths_of(root: Path, counting: Iterable[Manifest], found: Findings) -> list[str]:
    """Paths that the manifests name, without those that lead elsewhere or to nothing."""
    good = []
    for manifest in counting:
        for entry in manifest.files:
            try:
                file = file_at(root, entry.path)
            except RecordingError as exc:
                found.error("manifest", f"{MANIFESTS}/{manifest.name}", escaped(str(exc)))
                continue
            if present(file.path).is_file():
                good.append(entry.path)
            else:
                found.error(
                    "missing", escaped(entry.path), f"{MANIFESTS}/{manifest.name} names it, and it is not there"
                )
    return good
