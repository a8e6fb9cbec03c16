"""The command line as a user meets it: real processes, files, exit codes."""

from __future__ import annotations

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digitreader import __version__
from digitreader.doors.cli import ALIASES, HOMES, run

EXAMPLES = Path(__file__).parent.parent / "examples"


def digitreader(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "digitreader", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)
    return subprocess.CompletedProcess(
        command, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def test_a_picture_is_read_to_a_table_json_and_csv(tmp_path: Path) -> None:
    table = digitreader("read", EXAMPLES / "postcode.png")
    assert (table.returncode, table.stderr) == (0, "")
    assert "90210" in table.stdout
    one = digitreader("read", EXAMPLES / "postcode.png", "--format", "json")
    row = json.loads(one.stdout)
    assert row["text"] == "90210"
    assert row["model"] == "digits"
    assert [digit["label"] for digit in row["digits"]] == list("90210")
    out = tmp_path / "readings.csv"
    assert digitreader("read", EXAMPLES / "postcode.png", "-o", out).stdout == ""
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert "".join(r["label"] for r in rows) == "90210"


def test_a_folder_a_list_a_pattern_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{EXAMPLES / 'felt_pen.png'}\n{EXAMPLES / 'chalk.jpg'}\n")
    result = digitreader(
        "read", f"@{tmp_path / 'list.txt'}", EXAMPLES / "scan*.png", "-", "--format", "jsonl",
        stdin=(EXAMPLES / "transparent.png").read_bytes(),
    )  # fmt: skip
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["text"] for row in rows] == ["7", "4", "5", "3"]
    assert rows[-1]["source"] == "<stdin>"


def test_failures_have_rows_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    result = digitreader(
        "read", tmp_path / "broken.png", tmp_path / "absent.png", EXAMPLES / "felt_pen.png",
        "--format", "json",
    )  # fmt: skip
    assert result.returncode == 1
    rows = json.loads(result.stdout)
    assert [row["status"] for row in rows[:2]] == ["error", "error"]
    assert rows[2]["text"] == "7"
    assert "no such file" in rows[1]["error"]
    assert result.stderr.count("Error:") == 2
    quiet = digitreader("read", tmp_path / "absent.png", "--quiet")
    assert (quiet.returncode, quiet.stderr) == (1, "")


def test_an_empty_page_is_no_failure() -> None:
    result = digitreader("read", EXAMPLES / "empty_sheet.jpg", "--format", "json")
    row = json.loads(result.stdout)
    assert (result.returncode, row["status"], row["digits"]) == (0, "empty", [])


def test_pictures_are_annotated_and_inputs_shown_without_overwriting(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    picture = (EXAMPLES / "felt_pen.png").read_bytes()
    longest = 125 * "ü"  # the 254 bytes of its name leave no room for a number
    for name in ("a/x.png", "b/x.png", f"b/{longest}.png"):
        (tmp_path / name).write_bytes(picture)
    arguments = ["read", str(tmp_path), "--annotate", str(tmp_path / "out"),
                 "--show-input", str(tmp_path / "in")]  # fmt: skip
    assert digitreader(*arguments).returncode == 0
    out, inputs = (sorted(p.name for p in (tmp_path / name).iterdir()) for name in ("out", "in"))
    assert out == ["x-2.png", "x.png", f"{longest[:50]}.png"]
    assert inputs == ["x-1-7.png", "x-2-1-7.png", f"{longest[:50]}-1-7.png"]
    seen = np.asarray(Image.open(tmp_path / "in" / "x-1-7.png"))
    assert seen.shape == (28, 28)
    assert np.flatnonzero(seen.any(axis=1)).size == 20


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["raed", "x.png"], 2, "Did you mean 'read'?"),
        (["read", "--formt", "json", "x.png"], 2, "Did you mean '--format'?"),
        (["read", "x.png", "-o", "x.xls"], 2, "names no format"),
        (["read", "x.png", "-o", "nowhere/x.csv"], 2, "no folder nowhere"),
        (["read", "x.png", "--layout", "line"], 2, "'auto', 'single', 'page'"),
        (["tune", "--trials", "0"], 2, "not in the range x>=1"),
        (
            ["data", "preview", "optdigits", "-o", "x.png", "--seed", "-1"],
            2,
            "not in the range 0<=",
        ),
        (["data", "synthesize", "out", "--seed", "-1"], 2, "not in the range 0<="),
        (["train-finder", "--seed", "-1"], 2, "not in the range 0<="),
        (["train-finder", "--workers", "0"], 2, "not in the range x>=1"),
        (["quantize-finder", __file__, "-o", "x.onnx", "--seed", "-1"], 2, "not in the range 0<="),
        (
            ["read", str(EXAMPLES / "chalk.jpg"), "--model", "none.onnx"],
            3,
            "no model file none.onnx",
        ),
        (
            ["read", str(EXAMPLES / "chalk.jpg"), "--model", __file__],
            3,
            "expected an .onnx file",
        ),
        (["evaluate", "--dataset", "nmist"], 2, "nmist"),
        (["evaluate", "--dataset", "optdigits", "-o", "x.txt"], 2, ".json"),
        (
            ["train", "--dataset", "optdigits", "--epochs", "0"],
            2,
            "epochs is 0; expected 1 or more",
        ),
        (["train", "--network", "lenet"], 2, "lenet"),
    ],
)
def test_mistakes_get_one_clear_line(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_paths_are_checked_before_the_model_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["read", "absent.png", "--model", "none.onnx"]) == 1
    assert "none.onnx" not in capsys.readouterr().err


@pytest.mark.parametrize("name", HOMES)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"Usage: digitreader {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ALIASES)
def test_another_name_of_a_command_stands_in_its_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    assert f"`digitreader {name}`" in capsys.readouterr().out


def test_version_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert run(["doctor"]) == 0
    assert "an empty page as empty" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_DIGITREADER_COMPLETE" in capsys.readouterr().out


def test_completion_knows_commands_and_options() -> None:
    environment = os.environ | {
        "_DIGITREADER_COMPLETE": "bash_complete",
        "COMP_WORDS": "digitreader read --lay",
        "COMP_CWORD": "2",
    }
    code = "import sys; sys.argv[0] = 'digitreader'; from digitreader.doors.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "--layout" in done.stdout


def test_ctrl_c_keeps_what_was_read(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "digitreader", "read", str(EXAMPLES / "felt_pen.png"), "-",
        "-o", str(tmp_path / "out.jsonl"),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    while not any(draft.stat().st_size for draft in tmp_path.glob(".*.part/out.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in error
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == "7"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"'{sys.executable}' -m digitreader read '{EXAMPLES}' --format jsonl | head -c 10"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_a_terminal_gets_a_bar_and_a_pipe_does_not() -> None:
    files = [str(EXAMPLES / "felt_pen.png")] * 3
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "digitreader", "read", *files, "--format", "jsonl"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower,
                               env=os.environ | {"TERM": "xterm"})  # fmt: skip
    stdout, _ = process.communicate(timeout=60)
    os.close(follower)
    seen = os.read(leader, 65536)
    os.close(leader)
    assert b"reading" in seen
    assert len(stdout.splitlines()) == 3
    assert digitreader("read", *files).stderr == ""


def test_a_model_is_trained_measured_and_read_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    trained = digitreader(
        "train", "--dataset", "optdigits", "--network", "dense-64-dropout", "--epochs", "6",
        "--batch-size", "64", "--out", out,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert "same label on 100.00%" in trained.stdout
    assert "oneDNN" not in trained.stderr
    asked = ["evaluate", "--dataset", "optdigits", "--model"]
    done = digitreader(*asked, out / "model.onnx", "-o", tmp_path / "onnx.json")
    assert done.stdout.startswith("Test accuracy: 9")
    assert run([*asked, str(out / "best.keras"), "-o", str(tmp_path / "keras.json")]) == 0
    assert capsys.readouterr().out.startswith("Test accuracy: 9")
    for numbers in ("onnx.json", "keras.json"):
        assert json.loads((tmp_path / numbers).read_text())["n"] == 359
    reading = digitreader("read", EXAMPLES / "tiny_28x28.png", "--model", out / "model.onnx",
                          "--format", "json")  # fmt: skip
    assert json.loads(reading.stdout)["model"] == "run"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, digitreader, digitreader.doors.cli\n"
        "heavy = {'numpy', 'cv2', 'PIL', 'onnxruntime', 'keras', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reading_imports_neither_keras_nor_the_training_rooms() -> None:
    code = (
        "import sys\nfrom digitreader.doors.cli import run\n"
        f"assert run(['read', {str(EXAMPLES / 'felt_pen.png')!r}]) == 0\n"
        "loaded = [m for m in sys.modules if m.startswith(('keras', 'tensorflow', 'sklearn', "
        "'matplotlib', 'digitreader.training'))]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
