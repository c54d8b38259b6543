"""Entry point of `python -m policies`."""

import sys

from policies.cli import main

sys.exit(main())
