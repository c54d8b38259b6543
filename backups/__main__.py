"""Entry point of `python -m backups`."""

import sys

from backups.cli import main

sys.exit(main())
