"""One market of a dataset in the files that other software reads: see `export`.

Each format has a module. Files are one a UTC day of receive time, and beside each day's lies a `.gaps.json` with what
the format cannot say: what is missing, when there was no book to be believed, and whether the market was simulated.
"""

from ._market import symbols_of
from ._run import FORMATS, Summary, export

__all__ = ["FORMATS", "Summary", "export", "symbols_of"]
