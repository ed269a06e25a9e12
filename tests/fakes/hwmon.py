"""Chips under a folder such as /sys/class/hwmon, that follow a known power."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.known_power import KnownPower

PCI = "0000:03:00.0"
SECOND = 1_000_000_000
UPDATE_NS = SECOND // 100
"""An energy counter, and a rail of 5 V, show the last hundredth of a second."""


class FakeChip:
    """A chip under a folder such as /sys/class/hwmon, that follows a known power."""

    def __init__(self, root: Path, name: str, **files: object) -> None:
        self.power = KnownPower(50.0)
        hwmons = root / "class/hwmon"
        self.folder = hwmons / f"hwmon{len(list(hwmons.glob('*')))}"
        device = root / "devices" / name / PCI
        device.mkdir(parents=True)
        self.folder.mkdir(parents=True)
        (self.folder / "device").symlink_to(device)
        for file, text in {"name": name, **files}.items():
            (self.folder / file).write_text(f"{text}\n")
        self._began_ns = 50 * SECOND

    def turn_to(self, now_ns: int) -> None:
        """Show that moment."""
        updated_ns = now_ns - now_ns % UPDATE_NS
        counted_uj = int(self.power.truth_j(self._began_ns, max(updated_ns, self._began_ns)) * 1e6)
        second_ns = now_ns - now_ns % SECOND
        mean_uw = round(self.power.truth_j(second_ns - SECOND, second_ns) * 1e6)
        shown_ma = round(self.power.truth_j(now_ns - UPDATE_NS, now_ns) * 1e9 / UPDATE_NS / 5 * 1e3)
        for file, text in (
            ("energy1_input", counted_uj),
            ("power1_average", mean_uw),
            ("curr1_input", shown_ma),
        ):
            if (self.folder / file).exists():
                (self.folder / file).write_text(f"{text}\n")

    def write(self, file: str, text: object) -> None:
        """Let one of its files hold this."""
        (self.folder / file).parent.mkdir(exist_ok=True)
        (self.folder / file).write_text(f"{text}\n")
