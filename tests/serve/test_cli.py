"""The command line of the serving side, as far as it goes without starting Ray."""

import subprocess
import sys

import pytest
import torch

from explainer.serve.__main__ import parser


def test_it_listens_to_this_machine_only_unless_told():
    assert parser().parse_args([]).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--replicas 0", "at least 1"),
        ("--max-batch -1", "at least 1"),
        ("--gpu-fraction 0", "above 0"),
        ("--gpu-fraction 1.5", "at most 1"),
        ("--device tpu", "invalid choice"),
    ],
)
def test_wrong_options_are_refused(arguments, reason, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments.split())
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


WITHOUT_RAY = "import sys; sys.modules['ray'] = None"


@pytest.mark.parametrize(
    ("before", "arguments", "status", "reason"),
    [
        (WITHOUT_RAY, [], 2, "python -m pip install -e '.[serve]'"),
        # An address for documentation, which no machine has.
        ("", ["--host", "203.0.113.1"], 1, "cannot serve: [Errno"),
        pytest.param(
            *("", ["--device", "cuda"], 1, "cannot serve: this machine has no cuda"),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device"),
        ),
    ],
)
def test_what_it_cannot_do_is_one_sentence(root, before, arguments, status, reason):
    if not before:
        pytest.importorskip("ray")
    code = (
        f"{before}\nimport sys; from explainer.serve.__main__ import main\n"
        f"sys.exit(main({arguments}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
