"""What a finished run of the same study left, for a method that builds on it."""

from __future__ import annotations

from harness.channel_mask import ChannelMask
from harness.errors import RunError
from harness.phases import Finished
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.results.ledger import Ledger
from harness.selector import Selector
from harness.spec import RunSpec


def recall(study: StudyFolder, mine: RunSpec, method: str) -> Finished:
    """What the run of `method` with the seed and the variant of `mine` cost and drew.

    `method` names an arm as a selector does: by its method and the settings that set it apart.

    Raises:
        RunError: It is not finished, its energy is unknown, or there are several.
    """
    found = [folder for folder in study.runs() if _is_meant(folder, mine, method)]
    title = f"{mine.method} needs one finished run of {method} with seed {mine.seed}"
    if len(found) != 1:
        raise RunError(f"{title}; there are {len(found)} in {study.path}")
    ledger = Ledger(found[0])
    if not ledger.sensors:
        raise RunError(f"{title}; the energy of the one in {found[0].path} is unknown")
    journal = ledger.journal
    [result] = journal.events("result")[-1:]
    return Finished(ledger.outer.energy_j, result["epochs_trained"], _ticket(journal))


def _is_meant(folder: RunFolder, mine: RunSpec, method: str) -> bool:
    spec = folder.read_spec()
    same = (spec.seed, spec.variant) == (mine.seed, mine.variant)
    meant = same and Selector.parse(method).matches(spec)
    return meant and Journal(folder).status == "done"


def _ticket(journal: Journal) -> ChannelMask | None:
    """The channels of the dense network that are left after all removals."""
    ticket = None
    for _, answer in sorted(journal.answers().items()):
        if answer["description"]["kind"] == "Shrink":
            mask = ChannelMask(answer["description"]["mask"])
            ticket = mask if ticket is None else ticket.then(mask)
    return ticket
