"""Read and render the baseline, `policies/baseline.toml`: which contents were reviewed, by whom and when."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, cast

from pydantic import AfterValidator, Field

from console.errors import InputError
from policies.reading import Strict, Text, line_of, parse_toml, read, validate

FILE: Final = Path(__file__).resolve().parent / "baseline.toml"
HEAD: Final = """\
# Contents that were reviewed: the SHA-256 of each with the values of the settings replaced by their names.
# `python -m policies baseline` shows what differs, and writes this file (docs/policies.md).
"""


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{text!r:.80} is not a SHA-256; 64 hexadecimal digits are expected")
    return text


class Review(Strict):
    """One reviewed content."""

    sha256: Annotated[str, AfterValidator(_digest)]
    by: Text
    on: date
    needs: list[Text] = Field(default_factory=list[str])
    """The resources that the content refers to; compared while the content itself is known only after an update."""


@dataclass(frozen=True)
class Baseline:
    """The reviews of one stack, and the file and line of each; both by the keys of the contents."""

    reviews: Mapping[str, Review]
    places: Mapping[str, str]

    def check(self, keys: Collection[str]) -> None:
        """Raise `InputError` for the first review whose content does not exist; `keys` are those of all contents."""
        for key, place in self.places.items():
            if key not in keys:
                raise InputError(
                    f"{place}: {key}: there is no such content; restore it, or remove the review by "
                    "`python -m policies baseline --write`"
                )


@cache
def committed() -> Mapping[str, Baseline]:
    """Return the committed baseline of each stack."""
    return load(FILE)


def load(file: Path) -> dict[str, Baseline]:
    """Return the baseline of each stack in a file; `InputError` names the file, the line and the remedy."""
    content = read(file, "write it by `python -m policies baseline --write`")
    lines = content.decode(errors="replace").splitlines()
    found: dict[str, Baseline] = {}
    for stack, reviews in parse_toml(content, str(file)).items():
        if not isinstance(reviews, dict):
            raise InputError(
                f"{file}:{line_of(lines, stack)}: {stack}: a table of reviews is expected; "
                "write it by `python -m policies baseline --write`"
            )
        given = cast("dict[str, object]", reviews)
        places = {key: f"{file}:{line_of(lines, stack, key)}" for key in given}
        found[stack] = Baseline(
            {key: validate(Review, review, places[key], f"{stack}: {key}") for key, review in given.items()}, places
        )
    return found


def render(baselines: Mapping[str, Mapping[str, Review]]) -> str:
    """Return the text of a baseline file with the reviews of each stack."""
    parts = [HEAD]
    for stack, reviews in sorted(baselines.items()):
        parts.append(f"\n[{stack}]\n")
        parts += [f"{json.dumps(key, ensure_ascii=False)} = {_inline(one)}\n" for key, one in sorted(reviews.items())]
    return "".join(parts)


def _inline(review: Review) -> str:
    by = json.dumps(review.by, ensure_ascii=False)
    fields = [f'sha256 = "{review.sha256}"', f"by = {by}", f"on = {review.on.isoformat()}"]
    if review.needs:
        fields.append(f"needs = {json.dumps(review.needs, ensure_ascii=False)}")
    return f"{{ {', '.join(fields)} }}"
