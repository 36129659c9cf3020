"""What names a cell, and where it lies: the path is a pure function of the key."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from bench.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_JSON_WORDS = {"true", "false", "null", "NaN", "Infinity"}
#: A folder name may have 255 bytes; stay well below, as archives add to it.
_MAX_SLUG = 120


def canonical_params(params: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no blanks: equal parameters give equal text."""
    return json.dumps(dict(params), sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, order=True)
class CellKey:
    """One cell of a plan; `params` is canonical JSON (make one with `CellKey.of`)."""

    experiment: str
    scheme: str
    workload: str
    params: str
    repetition: int

    @classmethod
    def of(
        cls, experiment: str, scheme: str, workload: str, params: Mapping[str, Any], repetition: int = 0
    ) -> CellKey:
        """A key from parameters as a mapping; ConfigError for a name that cannot be a folder's."""
        bad = [name for name in (experiment, scheme, workload) if not _NAME.fullmatch(name)]
        if bad or repetition < 0:
            problems = [f"{name!r} cannot name a folder of results" for name in bad]
            if repetition < 0:
                problems.append(f"repetition {repetition} is negative")
            raise ConfigError(problems, hint="use letters, digits, '_', '.' and '-'")
        return cls(experiment, scheme, workload, canonical_params(params), repetition)

    @property
    def values(self) -> dict[str, Any]:
        """The parameters as a mapping."""
        values: dict[str, Any] = json.loads(self.params)
        return values

    @property
    def path(self) -> PurePosixPath:
        """EXPERIMENT/SCHEME/WORKLOAD/PARAMS/rN, below cells/ or failed/."""
        return PurePosixPath(
            self.experiment, self.scheme, self.workload, slug(self.params), f"r{self.repetition}"
        )

    def __str__(self) -> str:
        return str(self.path)


def slug(params: str) -> str:
    """A readable folder name for canonical params, as `pool_mb=1024,rate=2`; one to one."""
    values: dict[str, Any] = json.loads(params)
    if not values:
        return "default"
    text = ",".join(f"{quote(name, safe='')}={_value_slug(value)}" for name, value in values.items())
    if len(text) > _MAX_SLUG:
        digest = hashlib.sha256(params.encode()).hexdigest()[:16]
        text = f"{text[: _MAX_SLUG - 17]}~{digest}"
    return text


def _value_slug(value: object) -> str:
    # A string that reads like a number must not share a folder with that number.
    if isinstance(value, str) and _BARE.fullmatch(value) and value not in _JSON_WORDS:
        return value
    return quote(json.dumps(value, sort_keys=True, separators=(",", ":")), safe="")
