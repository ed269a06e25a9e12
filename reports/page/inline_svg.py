"""A saved SVG made fit to stand inside an HTML page beside others."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from markupsafe import Markup

if TYPE_CHECKING:
    from pathlib import Path

    from reports.drawing.marks import Marks


def inline(path: Path, marks: Marks, prefix: str) -> Markup:
    """The figure as an `svg` element that scales to its box.

    Matplotlib numbers the parts of every figure alike (`patch_1`, `text_1`), so each id and
    each reference to one gets `prefix` in front; namespaces go, HTML has its own. Parts that belong
    to an arm get its number as `data-arm`, and what they tell as a `title`.
    """
    root = ET.parse(path).getroot()  # noqa: S314  (written by us a moment ago)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = dict(element.attrib)
        element.attrib.clear()
        for key, value in attributes.items():
            name = key.rpartition("}")[2]
            if name == "id":
                element.set(name, prefix + value)
                _mark(element, value, marks)
            elif name == "href":
                element.set(name, value.replace("#", f"#{prefix}", 1))
            else:
                element.set(name, value.replace("url(#", f"url(#{prefix}"))
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  (escaped by the writer)


def _mark(element: ET.Element, identity: str, marks: Marks) -> None:
    if identity in marks.arms:
        element.set("data-arm", str(marks.arms[identity]))
    if identity in marks.tips:
        title = ET.Element("title")
        title.text = marks.tips[identity]
        element.insert(0, title)
