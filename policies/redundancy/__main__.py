"""The redundancy pack: started by an engine, `pulumi` or the sandbox, as `python -m pulumi.policy ENGINE PATH`."""

import sys
from pathlib import Path

# An engine starts a pack in the pack's own folder; the package `policies` is two folders up.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from policies.analyzer import serve

serve("redundancy")
