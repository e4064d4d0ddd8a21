"""``python -m cbp``: the command line."""

import sys

from cbp.cli import main

if __name__ == "__main__":
    sys.exit(main())
