"""Servers' management controllers: Redfish over real HTTP, IPMI by Debian's ipmi_sim."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from harness.energy.sensors import ipmi, redfish
from harness.energy.sensors.base import Found, MeterSetup, SensorError
from harness.energy.window_energy import measured
from tests.energy.machine import Clock, watch
from tests.fakes.controller import FakeController, certificate

LOGIN = "reader:sesame"
SIMULATED = shutil.which("ipmi_sim") and shutil.which("ipmitool")


def setup(*addresses: str, first_node: bool = True) -> MeterSetup:
    return MeterSetup(os.getpid(), (), 4.0, "", first_node=first_node, controllers=addresses)


def found(controller: FakeController, path: str = "") -> Found:
    controller.turn_to(50_000_000_000)
    return redfish.find(setup(controller.address + path))


@pytest.mark.parametrize("schema", ["Power", "EnvironmentMetrics"])
def test_joules_of_a_server_are_right_within_what_is_stated(schema) -> None:
    with FakeController(schema) as controller:
        clock = Clock()
        meters = found(controller).meters
        lengths_s, powers_w = [120, 60, 300], [250, 700, 340]
        trace, borders = watch(controller, meters, clock, lengths_s, powers_w)
    for start_ns, end_ns in pairwise(borders):
        joules = measured(trace, start_ns, end_ns).joules
        truth_j = controller.power.truth_j(start_ns, end_ns)
        assert abs(joules.energy_j - truth_j) < joules.uncertainty_j
        assert joules.energy_j == pytest.approx(truth_j, rel=0.05)
    [meter] = meters
    assert (meter.sensor.kind, meter.sensor.source) == ("machine", "sampled")


def test_a_login_comes_from_the_environment_over_a_certificate_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path)
    with FakeController(login=LOGIN, certificate=files) as controller:
        assert "certificate" in found(controller).notes[0]
        assert not controller.asked  # nothing is said to one that is not known
        monkeypatch.setenv(redfish.CERTIFICATE, str(files[0]))
        assert "ENERGY_HARNESS_BMC_PASSWORD" in found(controller).notes[0]
        for name, value in zip(("USER", "PASSWORD"), LOGIN.split(":"), strict=True):
            monkeypatch.setenv(f"ENERGY_HARNESS_BMC_{name}", value)
        [meter] = found(controller).meters
        assert meter.read() == pytest.approx(344)
        assert "sesame" not in str(meter.sensor.to_json())


def test_of_several_chassis_one_must_be_named() -> None:
    with FakeController(chassis=("Blade1", "Blade2")) as controller:
        [note] = found(controller).notes
        assert "/redfish/v1/Chassis/Blade1" in note
        [meter] = found(controller, "/redfish/v1/Chassis/Blade2").meters
        assert "Blade2" in meter.sensor.device
    with FakeController(chassis=()) as controller:
        assert "no chassis measures power" in found(controller).notes[0]


def test_a_controller_elsewhere_is_read_by_the_first_node_alone() -> None:
    with FakeController() as controller:
        assert not redfish.find(setup(controller.address, first_node=False)).meters
        assert not controller.asked
    assert "first node" in ipmi.find(setup("ipmi://bmc", first_node=False)).notes[0]


DCMI = """
    Instantaneous power reading:                   220 Watts
    Minimum during sampling period:                 18 Watts
    Maximum during sampling period:                438 Watts
    Average power reading over sample period:      214 Watts
    IPMI timestamp:                           Thu Feb  6 15:56:36 2014
    Sampling period:                          00000001 Seconds.
    Power reading state is:                   activated

"""
"""As `ipmitool dcmi power reading` prints it."""


def ipmitool(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """An `ipmitool` on the PATH that prints this, and notes how it was called."""
    (folder / "dcmi").write_text(text)
    program = folder / "ipmitool"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/called\ncat {folder}/dcmi\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "called"


def test_what_ipmitool_prints_is_read(tmp_path, monkeypatch) -> None:
    called = ipmitool(tmp_path, monkeypatch, DCMI)
    monkeypatch.setenv("ENERGY_HARNESS_BMC_PASSWORD", "sesame")
    [local, remote] = ipmi.find(setup("ipmi://local", "ipmi://bmc.example:6230")).meters
    assert local.read() == remote.read() == 220
    assert "dcmi power reading" in called.read_text()
    assert "-H bmc.example -p 6230" in called.read_text()
    assert "sesame" not in called.read_text()  # any user may list what processes are called with
    (tmp_path / "dcmi").write_text(DCMI.replace("activated", "deactivated"))
    with pytest.raises(SensorError, match="deactivated"):
        local.read()


LAN = """\
name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  user 2 true "reader" "sesame" admin 10 none md2 md5 straight
"""
EMULATED = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[str]:
    """The address of a controller that speaks IPMI 2.0, without DCMI, as ipmi_sim does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "lan.conf").write_text(LAN.format(port=port))
    (tmp_path / "emu").write_text(EMULATED)
    (tmp_path / "state").mkdir()
    words = f"ipmi_sim -n -c {tmp_path}/lan.conf -f {tmp_path}/emu -s {tmp_path}/state"
    with subprocess.Popen(words.split(), stdout=subprocess.DEVNULL, stdin=subprocess.PIPE) as sim:
        time.sleep(1)
        yield f"ipmi://127.0.0.1:{port}"
        sim.kill()


@pytest.mark.skipif(not SIMULATED, reason="ipmi_sim or ipmitool is not installed")
def test_a_real_session_gives_the_reason_why_there_is_no_power(simulated, monkeypatch) -> None:
    monkeypatch.setenv("ENERGY_HARNESS_BMC_USER", "reader")
    monkeypatch.setenv("ENERGY_HARNESS_BMC_PASSWORD", "sesame")
    [note] = ipmi.find(setup(simulated)).notes
    assert "DCMI" in note
    assert "Invalid command" in note  # so the login was right
    monkeypatch.setenv("ENERGY_HARNESS_BMC_PASSWORD", "wrong")
    [note] = ipmi.find(setup(simulated)).notes
    assert "ENERGY_HARNESS_BMC_PASSWORD" in note
