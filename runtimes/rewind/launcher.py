"""rewind: after each reply the kernel puts the launcher's memory back, and the service the files."""

from actionloop.rewinding import Rewinding

SCHEME = Rewinding(files=True)
