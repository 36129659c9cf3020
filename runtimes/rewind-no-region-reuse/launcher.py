"""rewind-no-region-reuse: rewind without one of the kernel's optimisations, to measure what it is worth."""

from actionloop.rewinding import Rewinding
from rewind import Flags

SCHEME = Rewinding(Flags.NO_REGION_REUSE, files=True, figures=True)
