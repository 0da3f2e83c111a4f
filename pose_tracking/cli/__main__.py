"""`python -m pose_tracking.cli` is the `pose-tracking` command."""

import sys

from .main import main

sys.exit(main())
