"""Logs of JSON lines: what is left when a writer dies, and what a reader makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.utils.jsonl import LogReader, LogWriter, read_log

ENDLESS_WRITER = """
import itertools, sys
from pathlib import Path
from harness.utils.jsonl import LogWriter
log = LogWriter(Path(sys.argv[1]))
for number in itertools.count():
    log.append({"number": number, "text": "x" * (number % 200)})
"""
WRITER_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from harness.utils.jsonl import LogWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (25, 25))
log = LogWriter(Path(sys.argv[1]))
log.append("ten bytes!")
try:
    log.append("another twenty bytes")
except OSError:
    print("refused")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def write(path: Path, *values: object) -> None:
    log = LogWriter(path)
    for value in values:
        log.append(value)
    log.close()


def test_what_was_written_is_read(path) -> None:
    values = [{"a": None, "b": [1.5, "ä\n"]}, [0, 10**18, 0.1], "end"]
    write(path, *values)
    assert read_log(path) == values


def test_missing_log_is_empty(path) -> None:
    assert read_log(path) == []


def test_line_is_on_file_as_soon_as_it_is_appended(path) -> None:
    log = LogWriter(path)
    log.append(1)
    assert read_log(path) == [1]
    log.append(2, durable=True)
    assert read_log(path) == [1, 2]
    log.close()


def test_torn_last_line_is_passed_over_wherever_it_is_cut(path) -> None:
    write(path, {"a": 1}, {"b": [2, "ä"]})
    content = path.read_bytes()
    for size in range(content.index(b"\n") + 1, len(content)):
        path.write_bytes(content[:size])
        reader = LogReader(path)
        assert list(reader.new()) == [{"a": 1}]
        assert reader.torn_lines == 0


def test_torn_last_line_is_read_when_it_has_been_completed(path) -> None:
    path.write_bytes(b'[1]\n{"half"')
    reader = LogReader(path)
    assert list(reader.new()) == [[1]]
    assert list(reader.new()) == []
    with path.open("ab") as file:
        file.write(b":2}\n[3]\n")
    assert list(reader.new()) == [{"half": 2}, [3]]
    assert reader.torn_lines == 0


def test_reader_goes_on_where_it_ended(path) -> None:
    reader = LogReader(path)
    assert list(reader.new()) == []
    write(path, 1, 2)
    assert list(reader.new()) == [1, 2]
    write(path, 3)
    assert list(reader.new()) == [3]


def test_reader_left_in_the_middle_repeats_nothing(path) -> None:
    write(path, 1, 2, 3)
    reader = LogReader(path)
    assert next(reader.new()) == 1
    assert list(reader.new()) == [2, 3]


def test_writer_after_a_torn_line_begins_a_new_one(path) -> None:
    path.write_bytes(b'[1]\n{"torn": ')
    write(path, [2], [3])
    reader = LogReader(path)
    assert list(reader.new()) == [[1], [2], [3]]
    assert reader.torn_lines == 1


def test_writer_after_a_line_that_lacks_only_its_end_loses_nothing(path) -> None:
    path.write_bytes(b"[1]\n[2]")
    write(path, [3])
    assert read_log(path) == [[1], [2], [3]]


@pytest.mark.parametrize("broken", [b"{", b"[1, 2", b"\xff\xfe", b"\0\0\0\0", b""])
def test_broken_line_in_the_middle_is_counted(path, broken) -> None:
    path.write_bytes(b"[1]\n" + broken + b"\n[2]\n")
    reader = LogReader(path)
    assert list(reader.new()) == [[1], [2]]
    assert reader.torn_lines == 1


def test_killed_writer_leaves_whole_lines(path) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS_WRITER, str(path)]) as writer:
        until = time.monotonic() + 20
        while not path.exists() or path.stat().st_size < 100_000:
            assert time.monotonic() < until, "the writer wrote nothing"
            time.sleep(0.01)
        writer.kill()
    *whole, _torn = path.read_bytes().split(b"\n")
    assert [json.loads(line)["number"] for line in whole] == list(range(len(whole)))
    assert read_log(path) == [json.loads(line) for line in whole]


def test_line_that_did_not_fit_on_the_disk_is_not_taken_for_written(path) -> None:
    command = [sys.executable, "-c", WRITER_ON_A_FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    assert read_log(path) == ["ten bytes!"]
