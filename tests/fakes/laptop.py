"""A laptop's battery under a folder such as /sys, discharged by a known power.

battery = FakeBattery(tmp_path, power_w=12.0, refresh_s=5)
battery.draw(30.0, at_ns)
battery.turn_to(now_ns)               # the files show that moment
"""

from __future__ import annotations

from pathlib import Path

from tests.fakes.known_power import KnownPower

J_PER_UWH = 3.6e-3
FULL_UWH = 57_020_000
VOLTS = 15.4


class FakeBattery:
    """A battery whose firmware refreshes its figures every `refresh_s`.

    Args:
        root: In the place of /sys.
        power_w: What the machine draws, until `draw` says otherwise.
        refresh_s: Time between two refreshes.
        step_uwh: The step of its gauge.
        counts_charge: Show charge and current in place of energy and power.
        name: Its folder.
    """

    def __init__(
        self,
        root: Path,
        power_w: float = 12.0,
        *,
        refresh_s: float = 5.0,
        step_uwh: int = 10_000,
        counts_charge: bool = False,
        name: str = "BAT0",
    ) -> None:
        self.folder = root / "class/power_supply" / name
        self.folder.mkdir(parents=True)
        self._shown: dict[str, str] = {}
        self.status = "Discharging"
        self.stale = False
        self.counts_charge = counts_charge
        self.power = KnownPower(power_w)
        self._refresh_ns = round(refresh_s * 1e9)
        self._step_uwh = step_uwh
        for file, text in {
            "type": "Battery",
            "manufacturer": "SANYO",
            "model_name": "45N1767",
            "voltage_now": round(VOLTS * 1e6),
            self._kind("full"): self._amount(FULL_UWH),
            self._kind("full_design"): self._amount(62_160_000),
        }.items():
            self.write(file, text)
        self._began_ns: int | None = None

    def draw(self, power_w: float, at_ns: int) -> None:
        """From then on draw `power_w`."""
        self.power.draw(power_w, at_ns)

    def turn_to(self, now_ns: int) -> None:
        """Let the files show that moment."""
        self._began_ns = now_ns if self._began_ns is None else self._began_ns
        self.write("status", self.status)
        if self.stale:
            return
        shown_ns = now_ns - now_ns % self._refresh_ns
        drawn_uwh = self.power.truth_j(self._began_ns, max(shown_ns, self._began_ns)) / J_PER_UWH
        left = FULL_UWH - drawn_uwh
        mean_w = self.power.truth_j(shown_ns - self._refresh_ns, shown_ns) * 1e9 / self._refresh_ns
        self.write(self._kind("now"), self._amount(left - left % self._step_uwh))
        if self.counts_charge:
            self.write("current_now", round(mean_w / VOLTS * 1e6))
        else:
            self.write("power_now", round(mean_w * 1e6))

    def write(self, file: str, text: object) -> None:
        """Let one of its files hold this."""
        if self._shown.get(file) != str(text):
            (self.folder / file).write_text(f"{text}\n")
            self._shown[file] = str(text)

    def _kind(self, name: str) -> str:
        return f"{'charge' if self.counts_charge else 'energy'}_{name}"

    def _amount(self, uwh: float) -> int:
        return round(uwh / VOLTS) if self.counts_charge else round(uwh)


def charger(root: Path, *, online: bool, name: str = "AC") -> None:
    """A charger, plugged in or not."""
    folder = root / "class/power_supply" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "type").write_text("Mains\n")
    text = f"{int(online)}\n"
    file = folder / "online"
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
