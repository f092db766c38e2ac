"""What `compact` has replaced, and how it goes."""

from itertools import groupby
from pathlib import Path

from .disk import Disk
from .manifest import MANIFESTS, every_manifest


def drop_replaced(disk: Disk, root: Path, counting: set[str]) -> None:
    """Remove the manifests that others stand for; before them, for good, their files that are not among `counting`."""
    known = every_manifest(disk, root)
    names = {name for manifest in known for name in manifest.replaces}
    gone = [manifest for manifest in known if manifest.name in names]
    files = sorted({entry.path for manifest in gone for entry in manifest.files} - counting)
    for folder, held in groupby(map(root.joinpath, files), key=lambda path: path.parent):
        try:
            there = set(disk.listing(str(folder)))
        except FileNotFoundError:  # old data that somebody has removed
            continue
        for path in held:
            if path.name in there:
                disk.remove(str(path))
        disk.sync_folder(str(folder))
    for manifest in gone:
        disk.remove(str(root / MANIFESTS / manifest.name))
    if gone:
        disk.sync_folder(str(root / MANIFESTS))
