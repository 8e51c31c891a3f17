"""This file answers: how does one panel of the report look, as a drawing that any browser shows without help?

Small SVG drawings made by hand: one axis of time or gait cycle, one of a quantity, both with name and unit. Left is red
and dashed, right blue and solid, so that colour is never the only sign. Every text is escaped here; the result is
`Markup`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape

WIDTH, NARROW, HEIGHT = 270, 205, 172  # three or four panels side by side; letters keep their size on paper
LEFT, RIGHT, TOP, BOTTOM = 38, 12, 33, 28
RIGHT_WITH_SCALE = 34
UNIT_LINE = 11  # height of a further line under the title
LETTER = 5.15  # mean width of a letter there
MOST_POINTS = 400  # of one line: the panel is some 220 units wide


@dataclass(frozen=True)
class Line:
    """One line of a panel. side: left, right or middle; weight: mean, stride, or alone (a stride without a mean)."""

    side: str
    weight: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Chart:
    """One panel. `unit` names quantity and unit; `positive` says what upward means.

    `shown`: least range of the upright axis; `span`: range of the level axis; `marks`: (side, x) of foot offs;
    `second`: (unit, factor) of a scale on the right edge; `note`: said in the panel, alone if there is no line;
    `narrow`: four panels fit side by side, with two lines under the title.
    """

    title: str
    unit: str
    positive: str
    x_title: str
    span: tuple[float, float]
    shown: tuple[float, float]
    lines: tuple[Line, ...] = ()
    marks: tuple[tuple[str, float], ...] = ()
    second: tuple[str, float] | None = None
    note: str = ""
    narrow: bool = False
    extremes: tuple[str, ...] = field(default=())  # one sentence per side, for those who cannot see the drawing


@dataclass(frozen=True)
class Bar:
    """One bar: name, side, value, and the words written at its end; a value that is not finite has words only."""

    name: str
    side: str
    value: float
    words: str


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, `wanted` steps or a little more or fewer."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return ticks(low - 1.0, low + 1.0, wanted) if math.isfinite(low) else [0.0, 1.0]
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1.0, 2.0, 2.5, 5.0, 10.0) if one * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * k, 12) for k in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's number: as short as it can be, with a real minus sign."""
    text = f"{value:.10g}"
    return text.replace("-", "−") if float(text) != 0 else "0"


def draw(chart: Chart) -> Markup:
    """The panel as SVG."""
    right = RIGHT_WITH_SCALE if chart.second else RIGHT
    width = NARROW if chart.narrow else WIDTH
    x0, x1, y0, y1 = LEFT, width - right, HEIGHT - BOTTOM, TOP + (UNIT_LINE + 8 if chart.narrow else 0)
    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(_in_words(chart))}">',
        f'<text class="title" x="2" y="11">{escape(chart.title)}</text>',
    ]
    for k, words in enumerate(_wrapped(_axis_words(chart), int((width - 4) / LETTER))):
        parts.append(f'<text class="unit" x="2" y="{23 + UNIT_LINE * k}">{escape(words)}</text>')
    drawn = [line for line in chart.lines if np.isfinite(line.y).any()]
    if not drawn:
        parts.append(f'<rect class="empty" x="{x0}" y="{y1}" width="{x1 - x0}" height="{y0 - y1}"/>')
        for k, words in enumerate(_wrapped(chart.note or "Nothing to show.", int((x1 - x0) / 5.4))):
            parts.append(f'<text class="note" x="{(x0 + x1) / 2:g}" y="{y1 + 30 + 13 * k}">{escape(words)}</text>')
        return Markup("".join([*parts, "</svg>"]))  # every inserted text was escaped above

    values = np.concatenate([line.y[np.isfinite(line.y)] for line in drawn])
    marks = ticks(min(chart.shown[0], float(values.min())), max(chart.shown[1], float(values.max())))
    low, high = marks[0], marks[-1]

    def px(x: np.ndarray) -> np.ndarray:
        return x0 + (x - chart.span[0]) / (chart.span[1] - chart.span[0]) * (x1 - x0)

    def py(y: np.ndarray) -> np.ndarray:
        return y0 - (y - low) / (high - low) * (y0 - y1)

    for value in marks:
        y = float(py(np.array(value)))
        kind = "zero" if value == 0 and low < 0 else "grid"
        parts.append(f'<path class="{kind}" d="M{x0} {y:.1f}H{x1}"/>')
        parts.append(f'<text class="tick end" x="{x0 - 4}" y="{y + 3.2:.1f}">{number(value)}</text>')
    if chart.second:
        unit, factor = chart.second
        for value in ticks(low * factor, high * factor):
            y = float(py(np.array(value / factor)))
            if y1 - 0.5 <= y <= y0 + 0.5:
                parts.append(f'<text class="tick" x="{x1 + 4}" y="{y + 3.2:.1f}">{number(value)}</text>')
        parts.append(f'<text class="unit end" x="{width - 4}" y="{y1 - 5}">{escape(unit)}</text>')
    for value in _x_ticks(chart.span):
        x = float(px(np.array(value)))
        parts.append(f'<path class="grid" d="M{x:.1f} {y0}v3"/>')
        parts.append(f'<text class="tick middle" x="{x:.1f}" y="{y0 + 12}">{number(value)}</text>')
    parts.append(f'<text class="axis middle" x="{(x0 + x1) / 2:g}" y="{HEIGHT - 5}">{escape(chart.x_title)}</text>')
    parts.append(f'<rect class="frame" x="{x0}" y="{y1}" width="{x1 - x0}" height="{y0 - y1}"/>')
    for side, at in chart.marks:
        if chart.span[0] <= at <= chart.span[1]:
            parts.append(f'<path class="off {escape(side)}" d="M{float(px(np.array(at))):.1f} {y0}V{y1}"/>')
    for weight in ("stride", "alone", "mean"):  # the mean lies on top, and the dashes of the left on the right's line
        for line in sorted(drawn, key=lambda one: one.side, reverse=True):
            if line.weight == weight:
                d = _path(px(line.x), py(line.y))
                parts.append(f'<path class="line {weight} {escape(line.side)}" d="{d}"/>')
    if chart.note:
        for k, words in enumerate(_wrapped(chart.note, int((x1 - x0) / 5.2))):
            parts.append(f'<text class="note" x="{(x0 + x1) / 2:g}" y="{y1 + 11 + 11 * k}">{escape(words)}</text>')
    return Markup("".join([*parts, "</svg>"]))  # every inserted text was escaped above


def draw_bars(title: str, unit: str, bars: Sequence[Bar]) -> Markup:
    """Level bars from zero, one under the other, each with its name before it and its words behind it."""
    x0, x1, step = 96, 330, 24
    height = 54 + step * len(bars)
    finite = [bar.value for bar in bars if math.isfinite(bar.value)]
    marks = ticks(0.0, max([1.0, *finite]))
    scale = (x1 - x0) / marks[-1]
    words = "; ".join(f"{bar.name}: {bar.words}" for bar in bars)
    parts = [
        f'<svg class="bars" viewBox="0 0 470 {height}" role="img" aria-label="{escape(f"{title}, {unit}. {words}")}">',
        f'<text class="title" x="2" y="12">{escape(title)}</text>',
    ]
    bottom = 20 + step * len(bars)
    for value in marks:
        x = x0 + value * scale
        parts.append(f'<path class="grid" d="M{x:.1f} 20V{bottom + 3}"/>')
        parts.append(f'<text class="tick middle" x="{x:.1f}" y="{bottom + 14}">{number(value)}</text>')
    for k, bar in enumerate(bars):
        y = 23 + step * k
        parts.append(f'<text class="label end" x="{x0 - 6}" y="{y + 12}">{escape(bar.name)}</text>')
        end = float(x0)
        if math.isfinite(bar.value):
            end = x0 + bar.value * scale
            box = f'x="{x0}" y="{y}" width="{end - x0:.1f}" height="{step - 6}"'
            parts.append(f'<rect class="bar {escape(bar.side)}" {box}/>')
        parts.append(f'<text class="label" x="{end + 6:.1f}" y="{y + 12}">{escape(bar.words)}</text>')
    parts.append(f'<text class="axis middle" x="{(x0 + x1) / 2:g}" y="{bottom + 29}">{escape(unit)}</text>')
    return Markup("".join([*parts, "</svg>"]))  # every inserted text was escaped above


def _axis_words(chart: Chart) -> str:
    return f"{chart.unit}; + {chart.positive}" if chart.positive else chart.unit


def _in_words(chart: Chart) -> str:
    words = f"{chart.title}. {_axis_words(chart)}. Level axis: {chart.x_title}."
    return " ".join([words, *chart.extremes, chart.note]).strip()


def _x_ticks(span: tuple[float, float]) -> list[float]:
    return [value for value in ticks(*span) if span[0] - 1e-9 <= value <= span[1] + 1e-9]


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """Path through the points, broken where a value is missing."""
    x, y = _thinned(x, y)
    seen = np.isfinite(y)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(int))).reshape(-1, 2)
    parts = []
    for first, last in edges.tolist():
        points = np.column_stack([x[first:last], y[first:last]]).ravel().tolist()
        parts.append("M" + ("%.1f %.1fL" * (last - first) % tuple(points))[:-1])
    return "".join(parts)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Long lines keep the lowest and the highest point of each of `MOST_POINTS` / 2 equal parts: no peak is lost."""
    if len(x) <= MOST_POINTS:
        return x, y
    keep: set[int] = set()
    for part in np.array_split(np.arange(len(x)), MOST_POINTS // 2):
        seen = part[np.isfinite(y[part])]
        # a hole stays a hole
        keep |= {int(part[np.argmax(~np.isfinite(y[part]))])} if len(seen) < len(part) else set()
        keep |= {int(seen[np.argmin(y[seen])]), int(seen[np.argmax(y[seen])])} if len(seen) else set()
    rows = sorted(keep)
    return x[rows], y[rows]


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
