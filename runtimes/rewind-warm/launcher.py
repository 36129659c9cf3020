"""rewind-warm: rewind with a call of the action's declared WARM_UP before the checkpoint."""

from actionloop.rewinding import Rewinding

SCHEME = Rewinding(files=True, figures=True, warm_up=True)
