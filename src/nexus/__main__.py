"""``python -m nexus`` is the command `nexus`."""

from __future__ import annotations

import sys

from nexus.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
