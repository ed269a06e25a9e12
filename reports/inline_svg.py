"""A saved SVG made fit to stand inside an HTML page beside others."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from markupsafe import Markup

if TYPE_CHECKING:
    from pathlib import Path


def inline(path: Path) -> Markup:
    """The figure as an `svg` element that scales to its box.

    Matplotlib numbers the parts of every figure alike (`patch_1`, `text_1`), so each id and
    each reference to one gets the file's stem in front; namespaces go, HTML has its own.
    """
    root = ET.parse(path).getroot()  # noqa: S314  (written by us a moment ago)
    prefix = f"{path.stem}-"
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = dict(element.attrib)
        element.attrib.clear()
        for key, value in attributes.items():
            name = key.rpartition("}")[2]
            if name == "id":
                element.set(name, prefix + value)
            elif name == "href":
                element.set(name, value.replace("#", f"#{prefix}", 1))
            else:
                element.set(name, value.replace("url(#", f"url(#{prefix}"))
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  (escaped by the writer)
