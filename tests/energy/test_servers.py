"""Servers' management controllers: Redfish over real HTTP, IPMI by OpenIPMI's ipmi_sim."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from harness.energy.sensors import ipmi, redfish
from harness.energy.sensors.base import Found, MeterSetup, SensorError
from harness.energy.window_energy import measured
from tests.energy.machine import Clock, watch
from tests.fakes.controller import FakeController, certificate

LOGIN = "reader:sesame"
SIMULATED = all(map(shutil.which, ("ipmi_sim", "ipmitool", "cc")))
DCMI_MODULE = Path(__file__).parents[1] / "fakes/ipmi_sim/dcmi.c"


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
        assert not controller.asked  # nothing is sent to one that is not known
        monkeypatch.setenv(redfish.CERTIFICATE, str(files[0]))
        assert "ENERGY_HARNESS_BMC_PASSWORD" in found(controller).notes[0]
        for name, value in zip(("USER", "PASSWORD"), LOGIN.split(":"), strict=True):
            monkeypatch.setenv(f"ENERGY_HARNESS_BMC_{name}", value)
        [meter] = found(controller).meters
        assert meter.read() == pytest.approx(344)
        assert "sesame" not in str(meter.sensor.to_json())


@pytest.mark.parametrize("fault", ["another password", "offline", "no power"])
def test_a_controller_that_fails_mid_run_is_a_gap_with_its_reason(fault: str) -> None:
    with FakeController(power_w=300.0) as controller:
        clock, schema = Clock(), controller.schema

        def happens(now_ns: int) -> None:
            has_failed = now_ns > 150_000_000_000
            controller.login = LOGIN if has_failed and fault == "another password" else ""
            controller.is_offline = has_failed and fault == "offline"
            controller.schema = "Sensors" if has_failed and fault == "no power" else schema

        meters = found(controller).meters
        trace, borders = watch(controller, meters, clock, [120], [400], happens=happens)
    seen = measured(trace, *borders)
    assert seen.joules.coverage < 0.9
    assert abs(seen.joules.energy_j - 48_000) < seen.joules.uncertainty_j
    reason = {"another password": "wrong user", "offline": "no answer", "no power": "status 404"}
    assert any(reason[fault] in flag for flag in seen.flags)


def test_of_several_chassis_one_must_be_named() -> None:
    with FakeController(chassis=("Blade1", "Blade2")) as controller:
        [note] = found(controller).notes
        assert "/redfish/v1/Chassis/Blade1" in note
        [meter] = found(controller, "/redfish/v1/Chassis/Blade2").meters
        assert "Blade2" in meter.sensor.device
    with FakeController(chassis=()) as controller:
        assert "no chassis measures power" in found(controller).notes[0]
    with pytest.raises(SensorError, match="0 W"):
        redfish.power_w({"PowerWatts": {"Reading": 0}})


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
    (tmp_path / "dcmi").write_text(DCMI.replace("220 Watts", "0 Watts"))
    with pytest.raises(SensorError, match="0 W"):
        local.read()


LAN = """\
name "bmc"
set_working_mc 0x20
loadlib "{folder}/dcmi.so" "{folder}/watts"
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
PING = bytes.fromhex("0600ff06 000011be 80000000")
"""RMCP's presence ping (ASF 2.0, 3.2.4.2)."""
EMULATED = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[str]:
    """The address of a controller of ipmi_sim's, whose power is in the file `watts`, if it is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["cc", "-shared", "-fPIC", "-o", f"{tmp_path}/dcmi.so", str(DCMI_MODULE)]
    subprocess.run(words, check=True)
    (tmp_path / "lan.conf").write_text(LAN.format(port=port, folder=tmp_path))
    (tmp_path / "emu").write_text(EMULATED)
    (tmp_path / "state").mkdir()
    words = ["ipmi_sim", "-n", "-c", f"{tmp_path}/lan.conf", "-f", f"{tmp_path}/emu"]
    words += ["-s", f"{tmp_path}/state"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stdin=subprocess.PIPE) as sim:
        try:
            wait_for(port)
            yield f"ipmi://127.0.0.1:{port}"
        finally:
            sim.kill()


def wait_for(port: int) -> None:
    """Until a controller answers a ping."""
    ends = time.monotonic() + 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", port))
        asking.settimeout(0.1)
        while time.monotonic() < ends:
            try:
                asking.send(PING)
                asking.recv(100)
            except OSError:
                time.sleep(0.01)
            else:
                return
    raise TimeoutError("ipmi_sim does not answer")


@pytest.mark.skipif(not SIMULATED, reason="ipmi_sim, ipmitool or a C compiler is not installed")
def test_a_real_session_gives_the_power_or_the_reason_why_there_is_none(
    simulated, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("ENERGY_HARNESS_BMC_USER", "reader")
    monkeypatch.setenv("ENERGY_HARNESS_BMC_PASSWORD", "sesame")
    (tmp_path / "watts").write_text("344")
    [meter] = ipmi.find(setup(simulated)).meters
    (tmp_path / "watts").write_text("512")
    assert meter.read() == 512
    (tmp_path / "watts").unlink()
    with pytest.raises(SensorError, match="Invalid command"):  # as of one without DCMI
        meter.read()
    monkeypatch.setenv("ENERGY_HARNESS_BMC_PASSWORD", "wrong")
    [note] = ipmi.find(setup(simulated)).notes
    assert "ENERGY_HARNESS_BMC_PASSWORD" in note


CHASSIS = "/redfish/v1/Chassis/<identity>"
POWER = {"PowerControl": [{"MemberId": "0", "PowerConsumedWatts": 287}]}


@pytest.mark.filterwarnings("ignore:'cgi' is deprecated:DeprecationWarning")  # webob's
def test_power_is_found_among_the_resources_of_an_emulator_and_its_login_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sushy-tools has chassis, systems and managers, but no power: that is linked here later."""
    from sushy_tools.emulator import main as emulated  # half a second, for this test alone

    hashed = bcrypt.hashpw(b"sesame", bcrypt.gensalt(4)).replace(b"$2b$", b"$2y$")
    (tmp_path / "logins").write_bytes(b"reader:" + hashed + b"\n")
    app = emulated.app
    app.configure(
        extra_config={
            "SUSHY_EMULATOR_FAKE_DRIVER": True,
            "SUSHY_EMULATOR_AUTH_FILE": str(tmp_path / "logins"),
        }
    )
    app.add_url_rule(f"{CHASSIS}/Power", "power", lambda identity: POWER | {"Chassis": identity})
    linked = app.view_functions["chassis_resource"]
    server = make_server("127.0.0.1", 0, app, request_handler=Silent)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    address = f"redfish+http://127.0.0.1:{server.server_port}"
    try:
        assert "ENERGY_HARNESS_BMC_PASSWORD" in redfish.find(setup(address)).notes[0]
        monkeypatch.setenv("ENERGY_HARNESS_BMC_USER", "reader")
        monkeypatch.setenv("ENERGY_HARNESS_BMC_PASSWORD", "sesame")
        assert "no chassis measures power" in redfish.find(setup(address)).notes[0]

        def with_power(identity: str) -> dict[str, Any]:
            path = CHASSIS.replace("<identity>", identity)
            return linked(identity=identity).json | {"Power": {"@odata.id": f"{path}/Power"}}

        monkeypatch.setitem(app.view_functions, "chassis_resource", with_power)
        [meter] = redfish.find(setup(address)).meters
        assert meter.read() == 287
    finally:
        server.shutdown()
        server.server_close()


class Silent(WSGIRequestHandler):
    """Logs nothing."""

    def log(self, *_: object) -> None:
        """Say nothing."""
