"""baseline: the launcher is reused as it is."""

from actionloop.loop import Scheme

SCHEME = Scheme()
