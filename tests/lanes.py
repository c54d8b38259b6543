"""Which cases of a test run every time, and which only with `make test-long`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first(count: int, cases: Iterable[Any]) -> list[Any]:
    """Return the cases of a `parametrize`; all but the first `count` are long tests."""
    listed = list(cases)
    return [
        *listed[:count],
        *(
            pytest.param(*(case if isinstance(case, tuple) else [case]), marks=pytest.mark.long)
            for case in listed[count:]
        ),
    ]
