"""``python -m runledger``."""

import sys

from runledger.cli import main

sys.exit(main())
