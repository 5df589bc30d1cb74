"""The protocol's client against a small Streamlit app in a real server."""

import asyncio
from pathlib import Path

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState

from explainer.bench import client
from explainer.bench.reruns import moving
from explainer.bench.server import serving
from explainer.bench.soak import exceptions

TINY = Path(__file__).parent / "apps" / "tiny.py"


@pytest.fixture(scope="module")
def port():
    # The product keeps Streamlit's cache of messages off; who turns it on can still be measured.
    with serving(TINY, environment={"STREAMLIT_GLOBAL_MIN_CACHED_MESSAGE_SIZE": "10000"}) as server:
        server.wait()
        yield server.port
        # What the tests below provoke is in the log, and nothing else.
        provoked = {"RuntimeError: nine", "starlette.requests.ClientDisconnect"}
        assert set(exceptions(server.log())) == provoked, server.log()


def texts(run: client.Run) -> list[str]:
    kinds = {element.WhichOneof("type") for element in run.elements}
    assert kinds
    return [e.text.body for e in run.elements if e.WhichOneof("type") == "text"] + [
        e.markdown.body for e in run.elements if e.WhichOneof("type") == "markdown"
    ]


def to(number: float, like: WidgetState) -> WidgetState:
    state = WidgetState(id=like.id)
    state.double_array_value.data.append(number)
    return state


def test_a_page_opens_and_a_slider_moves(port):
    async def visit():
        session, opened = await client.Session.open(port)
        there, back = opened.steps() or pytest.fail("no slider")
        moved = await session.rerun([there])
        again = await session.rerun([])
        returned = await session.rerun([back])
        await session.close()
        return opened, moved, again, returned

    opened, moved, again, returned = asyncio.run(visit())
    assert all(run.ok for run in (opened, moved, again, returned))
    assert "number 3" in texts(opened)
    assert "number 4" in texts(moved)
    assert "number 4" in texts(again)  # the state is sent with every run
    assert "number 3" in texts(returned)
    assert "run 4" in texts(returned)  # one session
    assert opened.seconds > 0
    # The large message comes once; then as a reference, which stands for it.
    assert opened.size > 50_000
    assert moved.size < 50_000
    codes = [e.code.code_text for e in moved.elements if e.WhichOneof("type") == "code"]
    assert codes == ["x" * 50_000]


def test_a_control_that_changes_a_part_of_the_page(port):
    async def visit():
        session, opened = await client.Session.open(port)
        sliders = [e.slider.id for e in opened.elements if e.WhichOneof("type") == "slider"]
        moved = await session.rerun([to(5, WidgetState(id=sliders[1]))])
        await session.close()
        return moved

    moved = asyncio.run(visit())
    assert moved.ok
    assert texts(moved) == ["part 5"]


def test_the_address_sets_a_widget(port):
    async def visit():
        session, opened = await client.Session.open(port, query="number=7")
        changed = await session.rerun(query="number=5")
        await session.close()
        return opened, changed

    opened, changed = asyncio.run(visit())
    assert "number 7" in texts(opened)
    assert opened.alerts() == ["seven"]
    assert "number 5" in texts(changed)


def test_a_traceback_on_the_page_is_seen(port):
    async def visit():
        session, opened = await client.Session.open(port)
        steps = opened.steps() or pytest.fail("no slider")
        broken = await session.rerun([to(9, steps[0])])
        await session.close()
        return broken

    broken = asyncio.run(visit())
    assert any("nine" in text for text in broken.alerts())


def test_a_button_is_pressed_once(port):
    async def visit():
        session, opened = await client.Session.open(port)
        ids = [e.button.id for e in opened.elements if e.WhichOneof("type") == "button"]
        pressed = await session.rerun([WidgetState(id=ids[0], trigger_value=True)])
        later = await session.rerun()
        await session.close()
        return pressed, later

    pressed, later = asyncio.run(visit())
    assert "run 2" in texts(pressed)  # the run that st.rerun() cut short did not get that far
    assert "run 3" in texts(later)


def test_a_file_arrives_whole_and_half_a_file_does_no_harm(port):
    data = bytes(range(256)) * 1000

    async def visit():
        session, opened = await client.Session.open(port)
        uploader = opened.uploader()
        assert uploader is not None
        half = await session.upload(uploader, "half.bin", data, stop_after=1000)
        whole = await session.upload(uploader, "whole.bin", data)
        await session.close()
        return half, whole

    half, whole = asyncio.run(visit())
    assert half is None
    assert whole is not None
    assert f"file whole.bin {len(data)}" in texts(whole)


def test_visitors_do_not_see_each_other(port):
    async def visit():
        opened = await client.open_many(port, 4)
        steps = opened[0][1].steps() or pytest.fail("no slider")
        runs = await asyncio.gather(
            *(session.rerun([to(n, steps[0])]) for n, (session, _) in enumerate(opened))
        )
        ids = {session.id for session, _ in opened}
        await asyncio.gather(*(session.close() for session, _ in opened))
        return ids, runs

    ids, runs = asyncio.run(visit())
    assert len(ids) == 4
    for number, run in enumerate(runs):
        assert f"number {number}" in texts(run)


def test_every_rerun_of_every_visitor_is_counted(port):
    async def visit():
        opened = await client.open_many(port, 3)
        row = await moving("a page", opened, seconds=0.2)
        runs = [await session.rerun() for session, _ in opened]
        await asyncio.gather(*(session.close() for session, _ in opened))
        return row, runs

    row, runs = asyncio.run(visit())
    assert (row.page, row.visitors, row.control, row.failed) == ("a page", 3, "number", 0)
    # The app counts too: opened, both states, what was counted, and once more.
    counted = [next(text for text in texts(run) if text.startswith("run ")) for run in runs]
    assert sum(int(text.split()[1]) for text in counted) == 3 * (1 + 2 + 1) + row.reruns


def test_one_who_leaves_abruptly_does_no_harm(port):
    async def visit():
        session, _ = await client.Session.open(port)
        await session.start()
        session.abort()
        with pytest.raises(client.VisitError, match="closed the connection"):
            await session.finished(10)
        other, opened = await client.Session.open(port)
        await other.close()
        return opened.ok

    assert asyncio.run(visit())


def test_no_server_is_said_in_a_sentence():
    # The product keeps Streamlit's cache of messages off; who turns it on can still be measured.
    with serving(TINY, environment={"STREAMLIT_GLOBAL_MIN_CACHED_MESSAGE_SIZE": "10000"}) as server:
        pass
    with pytest.raises(client.VisitError, match="does not answer"):
        asyncio.run(client.Session.open(server.port))


def test_a_server_that_ends_is_told_from_one_that_is_slow():
    missing = TINY.with_name("missing.py")
    with serving(missing) as server, pytest.raises(RuntimeError, match=r"missing\.py"):
        server.wait(60)
