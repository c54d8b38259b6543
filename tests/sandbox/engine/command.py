"""`python -m sandbox` with the fake clouds, for tests that need a process of their own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from sandbox import cli, commands
from sandbox.conformance.things import open_clouds

commands.clouds = lambda: open_clouds
sys.exit(cli.main())
