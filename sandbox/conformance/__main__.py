"""`python -m sandbox.conformance`: compares the sandbox's engine with Pulumi's; the last line says how many agree."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.conformance import packs, stacks
from sandbox.conformance.cases import CASES
from sandbox.conformance.trial import Comparison, Trial
from sandbox.engine.errors import EngineError
from sandbox.official.cli import Cli, find

AT_ONCE: Final = 2  # cases; in each, either a CLI or a program is busy
SHOWN: Final = 20  # differences printed for one comparison; further ones usually have the same cause


def main(arguments: list[str] | None = None) -> int:
    """Run the comparisons and return the exit code: 0 all agree, 1 some do not, 2 nothing could be compared."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.conformance", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="run the cases whose names contain this text")
    parser.add_argument("--list", action="store_true", help="print the names of the cases and run nothing")
    options = parser.parse_args(arguments)
    os.environ.pop("SANDBOX_HOME", None)  # each case has a separate folder for its state
    try:
        cli = find()
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    names = [*(case.name for case in CASES), *stacks.NAMES, *packs.NAMES]
    chosen = [name for name in names if options.only in name]
    if options.list:
        print("\n".join(chosen))
        return 0
    if not chosen:
        print(f"error: no case has {options.only!r} in its name; --list prints the names", file=sys.stderr)
        return 2
    print(f"Comparing the sandbox's engine with the Pulumi CLI {cli.version} ({cli.command})", flush=True)
    agreed = total = 0
    for comparison in _compared(cli, chosen):
        total += 1
        agreed += not comparison.differences
    print(f"{agreed}/{total} comparisons agree")
    return 0 if agreed == total else 1


def _compared(cli: Cli, chosen: list[str]) -> Iterator[Comparison]:
    """Run the cases, two at a time, the longest first, and print each as it ends."""
    with ProcessPoolExecutor(AT_ONCE) as pool:
        pending = [pool.submit(_case, cli, name) for name in reversed(chosen)]
        for future in as_completed(pending):
            case = future.result()
            for comparison in case.comparisons:
                _print(comparison)
            yield from case.comparisons
            agreed = sum(1 for one in case.comparisons if not one.differences)
            print(f"{case.name}: {agreed}/{len(case.comparisons)} ({case.seconds:.0f} s)", flush=True)


@dataclass(frozen=True)
class Ended:
    """A finished case with its comparisons."""

    name: str
    comparisons: list[Comparison]
    seconds: float


def _case(cli: Cli, name: str) -> Ended:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        comparisons = list(_comparisons(cli, name, Path(folder)))
    return Ended(name, comparisons, time.monotonic() - begun)


def _comparisons(cli: Cli, name: str, folder: Path) -> Iterable[Comparison]:
    if name in stacks.NAMES:
        return stacks.compare_stack(cli, name, folder)
    if name in packs.NAMES:
        return packs.compare_packs(cli, name, folder)
    return Trial(next(case for case in CASES if case.name == name), cli, folder).run()


def _print(comparison: Comparison) -> None:
    if not comparison.differences:
        return
    print(f"DIFFERENT  {comparison.what}")
    for line in comparison.differences[:SHOWN]:
        print(f"    {line}")
    if len(comparison.differences) > SHOWN:
        print(f"    and {len(comparison.differences) - SHOWN} more")


if __name__ == "__main__":
    sys.exit(main())
