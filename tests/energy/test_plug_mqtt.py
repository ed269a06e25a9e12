"""Smart plugs over a real MQTT broker, mosquitto."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.energy.sensors import plug_mqtt, plugs
from harness.energy.sensors.base import Found, Meter, MeterSetup, SensorError
from tests.fakes.broker import MOSQUITTO, Broker, started

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")

TASMOTA = {
    "Time": "2026-11-30T12:00:00",
    "ENERGY": {"Total": 3.185, "Yesterday": 0.1, "Today": 0.2, "Power": 52, "Voltage": 231},
}
SHELLY = {"id": 0, "source": "init", "apower": 8.9, "aenergy": {"total": 6.532}}
PASSWORD = "open sesame"  # noqa: S105 - of a stand-in


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that lets anyone listen."""
    with started(tmp_path) as broker:
        yield broker


@pytest.fixture
def closed_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that asks for a password."""
    with started(tmp_path, PASSWORD) as broker:
        yield broker


def find(address: str) -> Found:
    return plugs.find(MeterSetup(os.getpid(), (), 4.0, "", plugs=(address,)))


def closed(meters: list[Meter]) -> None:
    for each in meters:
        assert isinstance(each, plugs.PlugMeter)
        each.close()


@pytest.mark.parametrize(
    ("topic", "state", "power_w", "energy_j", "step_j"),
    [
        ("tele/desk/SENSOR", TASMOTA, 52, 3.185 * 3.6e6, 3600),
        ("shellyplusplugs-80646fd2ffdc/status/switch:0", SHELLY, 8.9, 6.532 * 3600, 3.6),
    ],
)
def test_the_last_message_is_the_reading(topic, state, power_w, energy_j, step_j, broker) -> None:
    broker.send(topic, state)
    found = find(broker.address(topic))
    energy, power = found.meters
    assert power.read() == pytest.approx(power_w)
    assert energy.read() == pytest.approx(energy_j)
    assert energy.sensor.resolution_j == pytest.approx(step_j)
    assert energy.sensor.update_s == 10  # as often as the address says
    closed(found.meters)


def test_old_wrong_and_missing_messages_are_failed_readings(broker, monkeypatch) -> None:
    monkeypatch.setattr(plug_mqtt, "FIRST_S", 0.05)
    topic = "tele/desk/SENSOR"
    found = find(broker.address(topic, 0.1))
    power = found.meters[1]
    with pytest.raises(SensorError, match="no message yet"):
        power.read()
    broker.send(topic, "no JSON", keep=False)
    time.sleep(0.6)  # a plug is not asked twice within half of a second
    with pytest.raises(SensorError, match=r"stale|no JSON"):
        power.read()
    closed(found.meters)


def test_a_broker_that_ends_mid_run_is_a_stale_plug(broker) -> None:
    broker.send("tele/desk/SENSOR", TASMOTA)
    found = find(broker.address("tele/desk/SENSOR", 0.1))
    assert found.meters[1].read() == pytest.approx(52)
    broker.process.terminate()
    broker.process.wait()
    time.sleep(0.55)  # a plug is not asked twice within half of a second
    with pytest.raises(SensorError, match="stale: no message"):
        found.meters[1].read()
    closed(found.meters)


def test_a_wrong_password_is_named(closed_broker, monkeypatch) -> None:
    topic = "tele/desk/SENSOR"
    closed_broker.send(topic, TASMOTA)
    monkeypatch.setenv("ENERGY_HARNESS_PLUG_USER", "reader")
    monkeypatch.setenv("ENERGY_HARNESS_PLUG_PASSWORD", "wrong one")
    [note] = find(closed_broker.address(topic)).notes
    assert "ENERGY_HARNESS_PLUG_PASSWORD" in note
    assert "wrong one" not in note
    monkeypatch.setenv("ENERGY_HARNESS_PLUG_PASSWORD", PASSWORD)
    found = find(closed_broker.address(topic))
    assert found.meters[1].read() == pytest.approx(52)
    closed(found.meters)


def test_a_broker_that_is_not_there_is_named() -> None:
    [note] = find("mqtt://127.0.0.1:9/tele/desk/SENSOR").notes
    assert "no answer" in note
