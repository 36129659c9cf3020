"""JUnit XML, as CI systems read it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

#: What XML has no way to write; a kernel's log may have any byte.
UNWRITABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def suite(name: str, *, tests: int, failures: int, skipped: int = 0, time_s: float = 0.0) -> ET.Element:
    """A testsuite; `tests` counts cases that passed too, for which it needs no element."""
    counts = {"tests": str(tests), "failures": str(failures), "skipped": str(skipped)}
    return ET.Element("testsuite", {"name": name, **counts, "time": f"{time_s:.1f}"})


def case(parent: ET.Element, classname: str, name: str, *, failure: str = "", skipped: str = "") -> None:
    """A case, which has passed when it has neither a failure nor a reason to be skipped."""
    element = ET.SubElement(parent, "testcase", classname=classname, name=_writable(name))
    for tag, message in (("failure", failure), ("skipped", skipped)):
        if message:
            ET.SubElement(element, tag, message=_writable(message))


def text(root: ET.Element) -> str:
    """The file."""
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _writable(words: str) -> str:
    return UNWRITABLE.sub("?", words)
