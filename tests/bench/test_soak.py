import asyncio
import random
from collections import Counter

import pytest

from explainer.bench import soak
from explainer.bench.server import serving
from explainer.bench.soak import (
    FEW,
    LEAST_TOLERANCE,
    Usage,
    exceptions,
    grown,
    main,
    verdict,
    visit_for,
)
from explainer.fcn.engine import Busy

QUIET = """\
2026-11-25 20:09:23.680 Uvicorn server started on 127.0.0.1:8614
  You can now view your Streamlit app in your browser.
2026-11-25 20:09:24.000 The fragment with id 5 does not exist anymore
"""
PLANTED = """\
2026-11-25 20:09:23.680 Uncaught app execution
Traceback (most recent call last):
  File "app.py", line 3, in <module>
    main()
ValueError: planted

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "app.py", line 4, in <module>
KeyError: 'second'
2026-11-25 20:09:24.000 all goes on
Exception in thread worker:
Traceback (most recent call last):
  File "threading.py", line 1, in run
ValueError: planted
"""
USED = Usage(500.0, 40, 30)


def test_a_quiet_log_has_no_exceptions():
    assert not exceptions(QUIET)


def test_planted_tracebacks_are_found_and_named():
    found = exceptions(QUIET + PLANTED + QUIET)
    assert found == {"ValueError: planted": 2, "KeyError: 'second'": 1}


def test_a_log_that_ends_within_a_traceback():
    assert exceptions("Traceback (most recent call last):\n  File") == {
        "Traceback (most recent call last):": 1
    }


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (USED, None),
        (Usage(500 + LEAST_TOLERANCE - 1, 40 + FEW, 30 + FEW), None),
        (Usage(500 + LEAST_TOLERANCE + 1, 40, 30), "memory grew from 500 to 565 MiB"),
        (Usage(300.0, 41 + FEW, 30), "open files grew from 40 to 49"),
        (Usage(300.0, 40, 31 + FEW), "open threads grew from 30 to 39"),
        (Usage(None, None, None), None),
    ],
)
def test_a_planted_leak_is_found(after, said):
    found = grown(USED, after)
    assert bool(found) == bool(said)
    if said:
        assert found[0].startswith(said)


def test_large_processes_may_grow_by_a_share():
    assert not grown(Usage(2000.0, 1, 1), Usage(2190.0, 1, 1))
    assert grown(Usage(2000.0, 1, 1), Usage(2210.0, 1, 1))


def test_the_verdict_names_everything_that_is_wrong():
    assert verdict(True, USED, USED, Counter(), QUIET) == []
    said = verdict(False, USED, Usage(900.0, 40, 30), Counter({"a page stood still": 3}), PLANTED)
    assert said == [
        "the server does not answer",
        "memory grew from 500 to 900 MiB; 64 MiB more would be tolerable",
        "3 × a visitor met: a page stood still",
        "2 × in the log: ValueError: planted",
        "1 × in the log: KeyError: 'second'",
    ]


@pytest.mark.parametrize(
    ("viewer", "alerts", "faults"),
    [
        (object(), [], []),
        (object(), [str(Busy(64))], []),
        (None, [str(Busy(64))], []),
        (None, [], ["a photo was uploaded, and the page shows nothing"]),
        # The viewer of the photo before is still there.
        (object(), ["illegal memory"], ["a photo was uploaded, and the page says: illegal memory"]),
    ],
)
def test_a_photo_is_shown_or_too_many_wait(viewer, alerts, faults):
    class Run:
        def component(self, name):
            return viewer

        def alerts(self):
            return alerts

    assert soak.photo_faults(Run()) == faults  # pyright: ignore


@pytest.mark.parametrize("wrong", ["0", "-1", "1e9", "soon"])
def test_wrong_use(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--minutes", wrong])
    assert ended.value.code == 2


@pytest.mark.parametrize("name", [name for name, _ in soak.BAD_FILES])
@pytest.mark.parametrize("alerts", [[], ["it says why"]])
def test_every_bad_file_must_be_refused_a_cut_photo_too(name, alerts, monkeypatch):
    class Run:
        ok, elements = True, ()

        def uploader(self):
            return object()

        def alerts(self):
            return alerts

    class Session:
        async def upload(self, uploader, name, data):
            return Run()

        async def close(self):
            pass

        def abort(self):
            pass

    class Here(soak.Visitor):
        async def open(self, page="", query=""):
            return Session(), Run()

    files = [file for file in soak.BAD_FILES if file[0] == name]
    monkeypatch.setattr(soak, "BAD_FILES", files)
    tally = soak.Tally()
    asyncio.run(soak._bad_file(Here(0, "", random.Random(0), [bytes(90)], tally)))  # pyright: ignore
    expected = {} if alerts else {f"the page says nothing about {name}": 1}
    assert tally.faults == expected


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_visitors_of_all_kinds_do_the_app_no_harm():
    with serving(environment={"EXPLAINER_DEVICE": "cpu"}) as server:
        server.wait()
        tally = asyncio.run(visit_for(server.port, 8, seed=3))
        assert server.answers()
        log = server.log()
    assert tally.visits.total() > 3
    assert not tally.faults
    assert not exceptions(log), log
