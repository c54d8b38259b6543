"""Entry point of `python -m status`."""

import sys

from status.cli import main

sys.exit(main())
