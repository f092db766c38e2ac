"""The coverage of a recording as SVG, which browsers and documents show, and as PNG."""

from html import escape
from itertools import groupby

from ..errors import MissingExtra
from ..recording.overview import Overview
from ..text import escaped
from ._figures import length, moment
from ._info_text import LEGEND, LOSSY, LOST, NONE, SOME, pictured, states

CELLS = 240
CELL, ROW, NAME, PAD = 4, 20, 170, 16
COLOURS = {SOME: "#2da44e", LOSSY: "#d4a72c", LOST: "#cf222e", NONE: "#d0d7de"}
TICKS = 5


def drawing(found: Overview) -> str:
    """The picture, one row a stream."""
    streams = pictured(found)
    count = len(streams[0].cells) if streams else 1
    cell = max(CELL, CELLS * CELL // count)
    width = max(NAME + count * cell, 640) + 2 * PAD
    top = 3 * ROW + PAD
    bottom = top + len(streams) * ROW
    made_up = ", SIMULATED" if found.simulated else ""
    title = f"{escaped(found.path, 80)}{made_up}, {moment(found.ts_from)} to {moment(found.ts_to)} UTC"
    parts = [_text(PAD, PAD + 12, title), _text(PAD, PAD + 12 + ROW, f"one cell is {length(found.step)}", "#57606a")]
    for row, stream in enumerate(streams):
        y = top + row * ROW
        parts.append(_text(PAD, y + 12, escaped(f"{stream.venue} {stream.channel}", 24)))
        at = 0
        for sign, run in groupby(states(found, stream)):
            many = len(list(run))
            parts.append(_rect(PAD + NAME + at * cell, y, many * cell, ROW - 5, COLOURS[sign]))
            at += many
    parts += _axis(found, count, cell, bottom)
    x = PAD
    for sign, meaning in LEGEND.items():
        parts += [_rect(x, bottom + 2 * ROW, 12, 12, COLOURS[sign]), _text(x + 18, bottom + 2 * ROW + 11, meaning)]
        x += 18 + 8 * len(meaning) + 16
    height = bottom + 3 * ROW + PAD
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        "<style>text { font: 12px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }</style>\n"
        '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def png(drawn: str) -> bytes:
    """A drawing as PNG, at twice its size. Raises MissingExtra where resvg-py is not installed."""
    try:
        import resvg_py  # noqa: PLC0415 # an extra
    except ImportError:
        raise MissingExtra("a PNG picture", "png") from None
    return bytes(resvg_py.svg_to_bytes(svg_string=drawn, zoom=2))


def _axis(found: Overview, count: int, cell: int, y: int) -> list[str]:
    same_day = moment(found.ts_from)[:10] == moment(found.ts_to)[:10]
    parts = []
    for n in range(0, count, max(-(-count // TICKS), 1)):
        x, at = PAD + NAME + n * cell, moment(found.start + n * found.step)
        parts += [_rect(x, y, 1, 6, "#57606a"), _text(x + 4, y + 12, at[11:] if same_day else at[5:16], "#57606a")]
    return parts


def _rect(x: int, y: int, width: int, height: int, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}"/>'


def _text(x: int, y: int, text: str, colour: str = "#1f2328") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}">{escape(text)}</text>'
