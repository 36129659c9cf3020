"""rewind-mem: after each reply the kernel puts the launcher's memory back."""

from actionloop.rewinding import Rewinding

SCHEME = Rewinding()
