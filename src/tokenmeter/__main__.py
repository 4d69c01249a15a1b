"""``python -m tokenmeter`` is the command ``tokenmeter``."""

import sys

from tokenmeter.cli import main

if __name__ == "__main__":
    sys.exit(main())
