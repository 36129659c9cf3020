"""The page of `chameleon`, put together by hand without a template engine."""

from __future__ import annotations

import hashlib
from typing import Any

HEAD = '<table xmlns="http://www.w3.org/1999/xhtml">\n'


def expected(params: dict[str, Any]) -> dict[str, Any]:
    """The digest of a table of `rows` by `columns` numbered cells."""
    rows, columns = int(params["rows"]), int(params["columns"])
    cells = (f'<td>\n<span class="column-{c}">{c}</span>\n</td>' for c in range(1, columns + 1))
    row = "<tr>\n" + "\n".join(cells) + "\n</tr>"
    page = HEAD + "\n".join([row] * rows) + "\n</table>"
    return {
        "rows": rows,
        "columns": columns,
        "characters": len(page),
        "sha256": hashlib.sha256(page.encode()).hexdigest(),
    }
