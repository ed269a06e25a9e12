"""Identifies the code and the data of a run; two runs of one arm must agree in both.

For a source file two hashes are recorded: of its bytes, and of its syntax tree, in which comments,
docstrings, blank lines and formatting do not count (but which may differ between versions of
Python). A file is the same if either hash agrees.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.results.folder import RunFolder
from harness.results.journal import is_event

EVENT = "fingerprint"
_MARK = b'"fingerprint"'


@dataclass(frozen=True)
class Fingerprint:
    """The code and data of a run.

    Attributes:
        code: By source file, its hashes: of the bytes, and of the syntax.
        data: `digest`; for people the numbers of samples (`train`, `test`), and the hash of a file
            of first weights (`weights`), which `digest` has in it.
    """

    code: Mapping[str, Any]
    data: Mapping[str, Any]

    @property
    def code_hash(self) -> str:
        """A short hash of the code; empty where it is not recorded."""
        if not self.code:
            return ""
        text = json.dumps({name: hashes[-1:] for name, hashes in self.code.items()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def data_hash(self) -> str:
        """A hash of the data; empty where they are not recorded."""
        return str(self.data.get("digest", ""))


def fingerprint_of(run: RunFolder) -> Fingerprint | None:
    """The fingerprint of a run's last attempt; None if it has none, as in older versions."""
    try:
        lines = run.journal.read_bytes().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if _MARK not in line:
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if is_event(event) and event["event"] == EVENT:
            return Fingerprint(event["code"], event["data"])
    return None


def changed_code(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The source files that are not the same; none where one side is not recorded."""
    if not before or not now:
        return []
    return sorted(
        name for name in {*before, *now} if not _agree(before.get(name, ()), now.get(name, ()))
    )


def difference(before: Fingerprint, now: Fingerprint, method: str) -> str | None:
    """How two fingerprints differ, as "with other ..."; None if they do not.

    What is recorded on one side only, or on neither, does not differ.

    Args:
        before: As the run recorded it.
        now: As it would be today.
        method: The run's.
    """
    if changed := changed_code(before.code, now.code):
        verb = "has" if len(changed) == 1 else "have"
        return f"with other code of {method}: {', '.join(changed)} {verb} changed since"
    if before.data_hash and now.data_hash and before.data_hash != now.data_hash:
        first = [data.get("weights") for data in (before.data, now.data)]
        if first[0] != first[1]:
            then, today = (f"file {each}" if each else "drawn" for each in first)
            return f"with other first weights ({then} then, {today} now)"
        then, today = _counts(before.data), _counts(now.data)
        what = f"{then} then, {today} now" if then != today else "other names, sizes or contents"
        return f"with other data ({what})"
    return None


def _counts(data: Mapping[str, Any]) -> str:
    counted = [f"{data[part]} {part}" for part in ("train", "test") if part in data]
    return f"{' and '.join(counted)} samples" if counted else ""


def _agree(one: Any, other: Any) -> bool:
    return any(mine == theirs for mine, theirs in zip(one, other, strict=False))


def same_code(known: Sequence[Fingerprint], one: Fingerprint) -> Fingerprint:
    """The first of the known ones with the same code; else `one` itself."""
    return next((each for each in known if not changed_code(each.code, one.code)), one)
