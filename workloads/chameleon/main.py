"""An HTML table through a template engine (FunctionBench's chameleon)."""

from __future__ import annotations

import hashlib
from typing import Any

from chameleon import PageTemplate

BIG_TABLE = """\
<table xmlns="http://www.w3.org/1999/xhtml"
xmlns:tal="http://xml.zope.org/namespaces/tal">
<tr tal:repeat="row python: options['table']">
<td tal:repeat="c python: row.values()">
<span tal:define="d python: c + 1"
tal:attributes="class python: 'column-' + str(d)"
tal:content="python: d" />
</td>
</tr>
</table>"""


#: Nobody's data, for a call before the checkpoint (runtimes/rewind-warm).
WARM_UP = {"rows": 2, "columns": 2}


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Compile the template and render a table of `rows` by `columns`; return the page's digest."""
    rows, columns = int(args["rows"]), int(args["columns"])
    template = PageTemplate(BIG_TABLE)
    line = {str(column): column for column in range(columns)}
    page = template.render(options={"table": [line for _ in range(rows)]})
    return {
        "rows": rows,
        "columns": columns,
        "characters": len(page),
        "sha256": hashlib.sha256(page.encode()).hexdigest(),
    }
