"""What a placed picture is made of: rectangles, texts and arrows, in pixels from the top left."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.picture.diagram import Box

LINE = 15  # between lines of small text
HEAD = 42  # a box down to the base line of its title, and a little air


@dataclass(frozen=True)
class Rect:
    """A place on the picture; `style` is its class in the stylesheet."""

    x: float
    y: float
    width: float
    height: float
    style: str = "box"

    @property
    def right(self) -> float:
        """The x of the right side."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower side."""
        return self.y + self.height

    @property
    def center(self) -> float:
        """The x of the middle."""
        return self.x + self.width / 2

    @property
    def middle(self) -> float:
        """The y of the middle."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Text:
    """A line of text at its base line; `width`, if not 0, is what it must fit in."""

    x: float
    y: float
    text: str
    style: str
    anchor: str = "start"
    width: float = 0


@dataclass(frozen=True)
class Arrow:
    """A line along right-angled `points`: with a head at its end, at both ends, or, where it joins another, at none."""

    points: tuple[tuple[float, float], ...]
    heads: int = 1


@dataclass
class Canvas:
    """Everything placed so far; what is drawn later lies above."""

    grounds: list[Rect] = field(default_factory=list[Rect])
    arrows: list[Arrow] = field(default_factory=list[Arrow])
    rects: list[Rect] = field(default_factory=list[Rect])
    texts: list[Text] = field(default_factory=list[Text])
    places: dict[str, Rect] = field(default_factory=dict[str, Rect])

    def text(self, x: float, y: float, text: str, style: str, anchor: str = "start", width: float = 0) -> None:
        """Write a line."""
        self.texts.append(Text(x, y, text, style, anchor, width))

    def box(self, box: Box, place: Rect) -> None:
        """Draw a box with its texts, and remember where it is."""
        self.places[box.key] = place
        self.rects.append(place)
        room = place.width - 20
        self.text(place.x + 10, place.y + 18, box.kind, "small", width=room)
        self.text(place.x + 10, place.y + 35, box.title, "title", width=room)
        for number, line in enumerate(box.lines):
            self.text(place.x + 10, place.y + 35 + LINE * (number + 1), line, "small", width=room)

    def arrow(self, *points: tuple[float, float], heads: int = 1) -> None:
        """Draw a line through points."""
        self.arrows.append(Arrow(points, heads))

    def down(self, x: float, y: float, to: float, label: str, *, heads: int = 1) -> None:
        """Draw a straight vertical arrow, labelled at its right."""
        self.arrow((x, y), (x, to), heads=heads)
        self.text(x + 7, (y + to) / 2 + 4, label, "label")


def height_of(*boxes: Box) -> float:
    """What boxes in one row need."""
    return max((HEAD + LINE * len(box.lines) + 3 for box in boxes), default=0)


def spread(x: float, right: float, count: int, gap: float) -> list[tuple[float, float]]:
    """`count` columns between two sides: the x and the width of each."""
    width = (right - x - gap * (count - 1)) / max(count, 1)
    return [(x + number * (width + gap), width) for number in range(count)]
