"""Draw docs/images/terminal.svg from what the commands really print.

python -m docs.picture
"""

import os
import re
import subprocess
import sys
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parent / "images" / "terminal.svg"
ADVANCE, LINE, PAD, BAR = 7.8, 18, 14, 26
COLOURS = {"32": "#3fb950", "31": "#f85149", "33": "#d29922", "1;33": "#d29922", "2": "#8b949e", "1": "#ffffff"}
PLAIN, GROUND = "#c9d1d9", "#0d1117"

TAIL = ("tail", "BTC-USD", "--sim", "--text", "--count", "12")
BOOK = ("book", "BTC-USD", "--sim", "--plain", "--levels", "6", "--count", "3")


def lines_of(*command: str) -> list[str]:
    """What a command prints, in colour."""
    environment = {**os.environ, "FORCE_COLOR": "1", "TZ": "UTC"}
    environment.pop("NO_COLOR", None)
    done = subprocess.run(  # noqa: S603 # our own command
        [sys.executable, "-m", "marketfeed", *command], env=environment, capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode().rstrip("\n").split("\n")


def last_drawing(lines: list[str]) -> list[str]:
    """The last of several drawings with blank lines between."""
    return lines[max((n for n, line in enumerate(lines) if not line), default=-1) + 1 :]


def spans(line: str) -> str:
    """A line's SGR colours as SVG."""
    found, colour = [], PLAIN
    for piece in re.split(r"(\x1b\[[\d;]*m)", line):
        if piece.startswith("\x1b["):
            colour = COLOURS.get(piece[2:-1], PLAIN)
        elif piece:
            found.append(f'<tspan fill="{colour}">{escape(piece)}</tspan>')
    return "".join(found)


def picture(lines: list[str]) -> str:
    """An SVG of a terminal with these lines."""
    columns = max(len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in lines)
    width, height = round(columns * ADVANCE + 2 * PAD), BAR + len(lines) * LINE + PAD
    rows = [
        f'<text xml:space="preserve" x="{PAD}" y="{BAR + (n + 1) * LINE - 4}">{spans(line)}</text>'
        for n, line in enumerate(lines)
        if line
    ]
    dots = "".join(f'<circle cx="{PAD + 16 * n}" cy="14" r="5" fill="#30363d"/>' for n in range(3))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        "<style>text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; "
        "white-space: pre; }</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>{dots}\n' + "\n".join(rows) + "\n</svg>\n"
    )


def main() -> None:
    """Run both commands and draw them one below the other."""
    shown = []
    for command, lines in ((TAIL[:3], lines_of(*TAIL)), (BOOK[:3], last_drawing(lines_of(*BOOK)))):
        shown += [f"\x1b[2m$\x1b[0m \x1b[1mmarketfeed {' '.join(command)}\x1b[0m", *lines, ""]
    PICTURE.write_text(picture(shown[:-1]), encoding="utf-8")
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
