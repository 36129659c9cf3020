"""Why a container cannot be put back."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818
    """The container cannot be put back and must be retired; the text is the reason."""
