"""The documentation that comes with the running Python, a text that needs no files."""

from __future__ import annotations

from harness.errors import RunError


def python_documentation() -> bytes:
    """All topics of `pydoc_data.topics` in the order of their names, in UTF-8.

    Topics quote each other. A paragraph that has occurred before is left out: a fifth of the text,
    which else would be read in training and in the test.

    Raises:
        RunError: This Python comes without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise RunError(
            "workload.data 'python_docs': this Python comes without pydoc_data; choose 'text' and "
            "a text of your own"
        ) from None
    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    first = {" ".join(paragraph.split()): paragraph for paragraph in paragraphs}
    return "\n\n".join(first.values()).encode()
