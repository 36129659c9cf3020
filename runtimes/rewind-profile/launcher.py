"""rewind-profile: rewind that reads the kernel's counters after each restore, for the breakdown."""

from actionloop.rewinding import Rewinding

SCHEME = Rewinding(files=True, figures=True)
