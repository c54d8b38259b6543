"""The shapes of a placed diagram: rectangles, texts and arrows, in pixels from the top left corner."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.picture.diagram import Box

LINE = 15  # line spacing of small text
HEAD = 42  # from the top of a box to the base line of its title, with padding


@dataclass(frozen=True)
class Rect:
    """A rectangle; `style` is its class in the stylesheet."""

    x: float
    y: float
    width: float
    height: float
    style: str = "box"

    @property
    def right(self) -> float:
        """The x coordinate of the right side."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y coordinate of the lower side."""
        return self.y + self.height

    @property
    def center(self) -> float:
        """The x coordinate of the centre."""
        return self.x + self.width / 2

    @property
    def middle(self) -> float:
        """The y coordinate of the centre."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Text:
    """A line of text at its base line; `width`, if not 0, is the maximum width."""

    x: float
    y: float
    text: str
    style: str
    anchor: str = "start"
    width: float = 0


@dataclass(frozen=True)
class Arrow:
    """A line with right angles through `points`, with 0 to 2 heads; a line that joins another one has none."""

    points: tuple[tuple[float, float], ...]
    heads: int = 1


@dataclass
class Canvas:
    """All placed shapes; later shapes cover earlier ones."""

    grounds: list[Rect] = field(default_factory=list[Rect])
    arrows: list[Arrow] = field(default_factory=list[Arrow])
    rects: list[Rect] = field(default_factory=list[Rect])
    texts: list[Text] = field(default_factory=list[Text])
    places: dict[str, Rect] = field(default_factory=dict[str, Rect])

    def text(self, x: float, y: float, text: str, style: str, anchor: str = "start", width: float = 0) -> None:
        """Add a line of text."""
        self.texts.append(Text(x, y, text, style, anchor, width))

    def box(self, box: Box, place: Rect) -> None:
        """Add a box with its texts, and record its position."""
        self.places[box.key] = place
        self.rects.append(place)
        room = place.width - 20
        self.text(place.x + 10, place.y + 18, box.kind, "small", width=room)
        self.text(place.x + 10, place.y + 35, box.title, "title", width=room)
        for number, line in enumerate(box.lines):
            self.text(place.x + 10, place.y + 35 + LINE * (number + 1), line, "small", width=room)

    def arrow(self, *points: tuple[float, float], heads: int = 1) -> None:
        """Add an arrow through points."""
        self.arrows.append(Arrow(points, heads))

    def down(self, x: float, y: float, to: float, label: str, *, heads: int = 1) -> None:
        """Add a vertical arrow with a label at its right."""
        self.arrow((x, y), (x, to), heads=heads)
        self.text(x + 7, (y + to) / 2 + 4, label, "label")


def height_of(*boxes: Box) -> float:
    """Return the height of a row of boxes."""
    return max((HEAD + LINE * len(box.lines) + 3 for box in boxes), default=0)


def spread(x: float, right: float, count: int, gap: float) -> list[tuple[float, float]]:
    """Return x and width of `count` equal columns between two sides."""
    width = (right - x - gap * (count - 1)) / max(count, 1)
    return [(x + number * (width + gap), width) for number in range(count)]
