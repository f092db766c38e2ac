"""Run a file of `# %%` cells as a notebook does: one after another, with `await` anywhere, in one running loop.

python examples/run_cells.py examples/notebook_style.py --sim --seconds 5
"""

import ast
import asyncio
import inspect
import re
import sys
from pathlib import Path
from types import CodeType, FunctionType


async def run(cells: list[str]) -> None:
    """Run every cell in one namespace."""
    space: dict[str, object] = {"__name__": "__main__", "__doc__": None}
    for number, cell in enumerate(cells):
        code = compile(cell, f"cell {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        assert isinstance(code, CodeType)
        made = FunctionType(code, space)()
        if inspect.isawaitable(made):
            await made


if __name__ == "__main__":
    del sys.argv[0]
    asyncio.run(run(re.split(r"^# %%.*$", Path(sys.argv[0]).read_text(), flags=re.MULTILINE)))
