"""An environment with the peers, made from their pinned versions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = HERE / "peers.txt"
MADE = HERE / "peers-env"


def peers_python(given: str | None) -> Path | None:
    """The interpreter of the given environment, or of one that is made; None if that fails."""
    if given:
        return Path(given).absolute() / "bin" / "python"
    python = MADE / "bin" / "python"
    complete = MADE / "complete"
    if not complete.exists():
        shutil.rmtree(MADE, ignore_errors=True)
        try:
            _make(python)
        except (OSError, subprocess.CalledProcessError) as failure:
            sys.stderr.write(f"the peers' environment could not be made: {failure}\n")
            return None
        complete.touch()
    return python


def _make(python: Path) -> None:
    uv = shutil.which("uv")
    if uv:
        subprocess.run([uv, "venv", "--python", sys.executable, str(MADE)], check=True)
        install = [uv, "pip", "install", "--python", str(python)]
    else:
        subprocess.run([sys.executable, "-m", "venv", str(MADE)], check=True)
        install = [str(python), "-m", "pip", "install"]
    subprocess.run([*install, "-r", str(PINS)], check=True)


def versions(python: Path) -> dict[str, str]:
    """The distributions of an environment, by name."""
    ask = (
        "import json, importlib.metadata as m; "
        "print(json.dumps({d.name: d.version for d in m.distributions()}))"
    )
    import json

    answer = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=False)
    return json.loads(answer.stdout) if answer.returncode == 0 else {}
