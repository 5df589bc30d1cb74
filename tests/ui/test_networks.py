"""The other networks on the first page: choosing, weights, and who may do what."""

import os
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from explainer.fcn import registry, runs
from explainer.fcn.catalogue import NETWORKS
from explainer.fcn.engine import Busy
from explainer.fcn.registry import CHECKPOINTS, File, FileError
from explainer.ui import networks, snippets
from explainer.ui.networks import Downloads, is_local, parse
from explainer.ui.visit import BUNDLED, Choice, Visit
from tests.fcn.conftest import as_caffemodel, release, thin, unsigned
from tests.fcn.test_checkpoints import torchvision
from tests.fcn.test_registry import DATA, MD5, Host, serve

__all__ = ["serve", "thin", "unsigned"]  # fixtures

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 57, 3), np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of weights, and nothing loaded."""
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("EXPLAINER_DEVICE", "cpu")
    monkeypatch.delenv(networks.VARIABLE, raising=False)
    networks._held.clear()
    networks.downloads.clear()
    (tmp_path / "cache").mkdir()
    yield tmp_path / "cache"
    networks._held.clear()
    networks.downloads.clear()


@pytest.fixture
def published(thin: None, unsigned: None, cache: Path) -> Path:
    """The three published nets, thin, in the cache."""
    for stride in (32, 16):
        torch.save(release(stride, seed=stride), cache / f"fcn{stride}s_from_caffe.pth")
    (cache / "fcn8s-heavy-pascal.caffemodel").write_bytes(as_caffemodel(release(8, seed=8)))
    return cache


def state(app: AppTest) -> Visit:
    return app.session_state["visit"]


def said(app: AppTest) -> str:
    """All words on the page."""
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error)
    return "\n".join(element.value for kind in kinds for element in kind)


# ------------------------------------------------------------------------------------ the address


@pytest.mark.parametrize(
    ("link", "choice"),
    [
        ((None, None, None), BUNDLED),
        (("small", None, None), BUNDLED),
        (("fcn-vgg16", "untrained", None), Choice("fcn-vgg16", "untrained")),
        (("fcn-vgg16", None, None), Choice("fcn-vgg16", "as-published")),
        (("fcn-googlenet", None, None), Choice("fcn-googlenet", "untrained")),
    ],
)
def test_what_a_link_chooses(link, choice):
    assert parse(*link) == choice


@pytest.mark.parametrize(
    ("link", "says"),
    [
        (("vgg", None, None), "network that does not exist. There are: small, fcn-vgg16"),
        (("fcn-vgg16", "best", None), "mode that FCN-VGG16 does not have. There are: as-published"),
        ((None, "untrained", None), "no network"),
        (("fcn-vgg16", "own-file", None), "not on this machine"),
        (("fcn-vgg16", "own-file", "../secret.pth"), "not on this machine"),
        (("fcn-vgg16", "own-file", "/etc/passwd"), "not on this machine"),
        (("small", "own-file", "x.pth"), "mode that FCN-MobileNetV2 does not have"),
    ],
)
def test_bad_links_are_refused(link, says, cache):
    (cache.parent / "secret.pth").write_bytes(b"secret")
    with pytest.raises(ValueError, match=says):
        parse(*link)


@pytest.mark.parametrize(
    "query",
    [
        {"network": "[x](http://example.org)"},
        {"network": "fcn-vgg16", "mode": "*"},
        {"network": "fcn-vgg16", "mode": "own-file", "weights": "../../etc/passwd"},
        {"mode": "untrained"},
    ],
)
def test_a_bad_link_falls_back_with_a_notice(visit_page, query):
    app = visit_page(**query)
    assert state(app).choice == BUNDLED
    assert len(app.warning) == 1
    assert "FCN\\-MobileNetV2" in app.warning[0].value
    assert "example" not in app.warning[0].value
    assert not app.error
    assert not {"network", "mode", "weights"} & set(app.query_params)
    assert "chelsea" in said(app)


def test_the_first_visit_says_nothing_of_other_networks(visit_page):
    app = visit_page()
    assert not app.info
    assert "VGG" not in said(app)
    assert not [name for name in ("network", "mode", "weights") if name in app.query_params]


# ------------------------------------------------------------------------------------ on the page


@pytest.mark.usefixtures("thin")
def test_untrained_is_named_so(visit_page):
    app = visit_page(network="fcn-vgg16", mode="untrained")
    shown = state(app).shown
    assert shown is not None
    assert shown.run.outputs == (32, 16, 8)
    assert not shown.run.trained
    assert any("labels mean nothing" in text.value for text in app.markdown)
    assert r"FCN\-VGG16, untrained" in said(app)
    assert app.query_params["network"] == "fcn-vgg16"
    assert app.query_params["mode"] == "untrained"


def test_one_output_in_every_view(visit_page):
    app = visit_page(network="fcn-googlenet", side="384")
    for view in ("What changed", "Inside the skips", "Download", "In code", "The network"):
        app.segmented_control(key="view").set_value(view).run()
        assert not app.exception, app.exception
        assert not app.error
    shown = state(app).shown
    assert shown is not None
    assert shown.run.name(32) == "FCN-GoogLeNet"
    table = next(text.value for text in app.markdown if "receptive field" in text.value)
    for computed_and_printed in ("134.3 / 134", "57.0 / 57", "6.0 / 6", "404 / 404", "355 / 355",
                                 "907 / 907", "16 / 16", "8 / 8", "22 / 22"):  # fmt: skip
        assert computed_and_printed in table
    for printed in ("| 210 | 50 | 59 |", "| 56.0 | 39.8 | 42.5 |", "63.6 / 65.0 / 65.5"):
        assert printed in table
    stages = next(text.value for text in app.markdown if "multiply-adds" in text.value)
    assert "inception 5" in stages
    assert "Memory, computed" in said(app)


def test_as_published_is_three_passes(visit_page, published):
    app = visit_page(network="fcn-vgg16", mode="as-published", view="Inside the skips")
    shown = state(app).shown
    assert shown is not None
    assert shown.run.passes == 3
    assert "come from 3 networks" in said(app)
    assert r"FCN\-VGG16, as published" in said(app)
    assert "FCN-32s 63.6, FCN-16s 65.0, FCN-8s 65.5" in said(app)
    app.segmented_control(key="view").set_value("The network").run()
    assert not app.exception
    assert "ms at 451×300, 3 passes" in said(app)
    app.selectbox(key="chosen_mode").set_value("skips-left-out").run()
    assert not app.exception
    again = state(app).shown
    assert again is not None
    assert again.run.passes == 1
    assert app.query_params["mode"] == "skips-left-out"
    assert "ablation" in said(app)
    app.segmented_control(key="view").set_value("Download").run()
    ablated = ["FCN-8s without skips", "FCN-8s without pool3", "FCN-8s"]
    assert app.segmented_control(key="download_stride_3").options == ablated
    app.segmented_control(key="view").set_value("What changed").run()
    assert "From FCN-8s without skips to FCN-8s" in [head.value for head in app.subheader]
    np.testing.assert_array_equal(again.run.labels[8], shown.run.labels[8])
    assert (again.run.labels[32] != shown.run.labels[32]).any()


def test_another_network_begins_the_skips_anew(visit_page, published):
    from explainer.components.skip_explorer.payload import Removal
    from explainer.ui.inside_skips import Probe

    app = visit_page(network="fcn-vgg16", mode="as-published", view="Inside the skips")
    probe = app.session_state["skips"]
    removal = Removal(cells=frozenset({(8, 40, 50)}))
    app.session_state["skips"] = Probe(probe.photo, probe.class_index, probe.pixel, removal)
    app.run()
    assert not app.exception
    app.query_params["network"], app.query_params["mode"] = "fcn-googlenet", "untrained"
    app.run()
    assert not app.exception, app.exception
    assert not app.session_state["skips"].removal


def test_without_weights_the_bundled_network_shows_and_the_page_says_why(visit_page):
    app = visit_page(network="fcn-vgg16", view="The network")
    assert r"FCN\-VGG16, as published: its weights are not on this machine" in app.info[0].value
    shown = state(app).shown
    assert shown is not None
    assert shown.choice == BUNDLED
    assert state(app).choice == Choice("fcn-vgg16", "as-published")
    # AppTest's visitor has no address: as safe as a stranger.
    assert "downloaded by whoever sits at it" in app.warning[0].value
    assert "download_weights" not in [button.key for button in app.button]
    assert not [field for field in app.text_input if field.key == "own_path"]
    assert str(registry.cache_folder()) not in said(app), "a stranger need not know the folders"
    assert "404 / 404" in said(app)


@pytest.mark.parametrize("who", ["anyone", "nobody"])
def test_a_wrong_file_among_its_weights_is_said_and_to_strangers_not_where(
    visit_page, cache, monkeypatch, who
):
    monkeypatch.setenv(networks.VARIABLE, who)
    (cache / registry.CHECKPOINTS["fcn8s"].files[0].name).write_bytes(b"half a download")
    notice = visit_page(network="fcn-vgg16", mode="as-published").info[0].value
    assert "not the" in notice
    assert "published" in notice
    assert "Meanwhile here is" in notice
    assert (cache.name in notice.replace("\\", "")) == (who == "anyone")


def test_the_network_is_chosen_in_its_section(visit_page):
    app = visit_page(view="The network", side="384")
    app.selectbox(key="chosen_network").set_value("fcn-googlenet").run()
    assert not app.exception
    assert app.query_params["network"] == "fcn-googlenet"
    shown = state(app).shown
    assert shown is not None
    assert shown.choice == Choice("fcn-googlenet", "untrained")
    app.selectbox(key="chosen_network").set_value("small").run()
    assert "network" not in app.query_params
    back = state(app).shown
    assert back is not None
    assert back.choice == BUNDLED


def test_weights_that_cannot_be_used_are_explained(visit_page, cache):
    torch.save({"conv1.weight": torch.zeros(3)}, cache / "mine.pth")
    app = visit_page(network="fcn-alexnet", mode="own-file", weights="mine.pth")
    assert "does not hold the weights of FCN" in app.error[0].value.replace("\\", "")
    assert not app.exception
    assert state(app).choice == BUNDLED
    assert "chelsea" in said(app)
    assert "network" not in app.query_params


def test_files_that_nothing_signs_are_named(visit_page, monkeypatch):
    monkeypatch.setenv(networks.VARIABLE, "anyone")
    app = visit_page(network="fcn-vgg16", mode="as-published", view="The network")
    (note,) = [text.value for text in app.markdown if "No checksum of" in text.value]
    named = note.partition("No checksum of")[2].partition("was published")[0].replace("\\", "")
    # Of FCN-8s and of every conversion a checksum is known; the others are looked for second.
    assert named.split() == ["fcn32s-heavy-pascal.caffemodel,", "fcn16s-heavy-pascal.caffemodel"]


def test_special_tensors_are_refused_in_a_sentence(visit_page, monkeypatch, tmp_path):
    monkeypatch.setenv(networks.VARIABLE, "anyone")
    path = tmp_path / "mine.pth"
    torch.save({"conv1.weight": torch.ones(96, 3, 11, 11).to_sparse()}, path)
    app = visit_page(network="fcn-alexnet", mode="untrained", view="The network")
    app.text_input(key="own_path").set_value(str(path))
    next(button for button in app.button if button.label == "Take a copy").click().run()
    assert not app.exception
    assert "conv1.weight is no plain, dense tensor" in app.error[0].value.replace("\\", "")


def test_a_published_name_with_another_content(visit_page, cache):
    (cache / "fcn-resnet50.txt").write_text("no weights")
    (cache / CHECKPOINTS["fcn-resnet50"].files[0].name).write_bytes(b"something else")
    app = visit_page(network="fcn-resnet50")
    assert "checksum differs" in app.error[0].value
    shown = state(app).shown
    assert shown is not None
    assert shown.choice == BUNDLED


def test_a_wrong_file_is_told_before_the_others_are_downloaded(visit_page, cache, monkeypatch):
    monkeypatch.setenv(networks.VARIABLE, "anyone")
    wrong = cache / CHECKPOINTS["fcn8s"].files[0].name
    wrong.write_bytes(b"something else")
    app = visit_page(network="fcn-vgg16", mode="as-published", view="The network")
    assert "checksum differs" in app.error[0].value
    assert "download_weights" not in [button.key for button in app.button]
    wrong.unlink()
    app = visit_page(network="fcn-vgg16", mode="as-published", view="The network")
    assert not app.error
    assert app.button(key="download_weights")


# ------------------------------------------------------------------------- one network in memory


@pytest.mark.usefixtures("thin")
def test_a_network_is_kept_until_another_one_or_another_file_is_asked_for(cache):
    held = networks._held()
    first = held.load(Choice("fcn-vgg16", "untrained"), "cpu")
    assert held.load(Choice("fcn-vgg16", "untrained"), "cpu") is first
    torch.save(release(16, seed=3), cache / "mine.pth")
    own = Choice("fcn-vgg16", "own-file", "mine.pth")
    assert held.load(own, "cpu").outputs == (32, 16)
    torch.save(release(8, seed=3), cache / "mine.pth")  # the file was replaced: read again
    os.utime(cache / "mine.pth", ns=(1, 1))
    assert held.load(own, "cpu").outputs == (32, 16, 8)
    (cache / "mine.pth").unlink()
    with pytest.raises(ValueError, match="not there any more"):
        held.load(own, "cpu")
    with pytest.raises(ValueError, match="not there any more"):
        networks.run(own, PHOTO)


@pytest.mark.usefixtures("thin")
def test_visitors_of_different_networks_never_have_two_in_memory(monkeypatch, cache):
    torch.save(release(16, seed=3), cache / "mine.pth")
    choices = [
        Choice("fcn-vgg16", "untrained"),
        Choice("fcn-vgg16", "own-file", "mine.pth"),
        Choice("fcn-googlenet", "untrained"),
    ]
    load, alive, threads = runs.load, weakref.WeakSet(), set()

    def watched(*args, **options):
        assert not alive, "the one before has left the memory"
        threads.add(threading.current_thread().name)
        runner = load(*args, **options)
        alive.add(runner)
        return runner

    monkeypatch.setattr(runs, "load", watched)
    with ThreadPoolExecutor(6) as visitors:
        asked = [
            visitors.submit(networks.run, choice, np.roll(PHOTO, turn, axis=0))
            for turn in range(3)
            for choice in choices
        ]
        outputs = [future.result(120)[0].outputs for future in asked]
    assert outputs == [(32, 16, 8), (32, 16), (32,)] * 3
    assert threads == {"the network"}


@pytest.mark.usefixtures("thin")
def test_an_answer_is_remembered_for_its_network_and_its_file(monkeypatch, cache):
    torch.save(release(16, seed=3), cache / "mine.pth")
    own, untrained = Choice("fcn-vgg16", "own-file", "mine.pth"), Choice("fcn-vgg16", "untrained")
    before, _ = networks.run(own, PHOTO)
    other, _ = networks.run(untrained, PHOTO)
    assert other.outputs != before.outputs
    loaded = networks._held().runner
    assert networks.run(own, PHOTO)[0] is before
    assert networks._held().runner is loaded, "what is known needs no network"
    torch.save(release(16, seed=4), cache / "mine.pth")
    os.utime(cache / "mine.pth", ns=(1, 1))
    after, _ = networks.run(own, PHOTO)
    assert (after.finest.scores[32].values != before.finest.scores[32].values).any()


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory.\nTried"), MemoryError()])
def test_too_little_memory_is_explained(monkeypatch, error):
    def fails(*_: object) -> None:
        raise error

    choice = Choice("fcn-vgg16", "untrained")
    photo = np.full_like(PHOTO, len(str(error)))  # one whose answer is not remembered
    with monkeypatch.context() as patched:
        patched.setattr(runs.Runner, "__call__", fails)
        with pytest.raises(ValueError, match=r"could not run here \(.*out of memory.*smaller"):
            networks.run(choice, photo)
    assert networks._held().runner is None, "others need the memory"
    assert networks.run(choice, photo)[0].outputs == (32, 16, 8)


@pytest.mark.usefixtures("thin")
def test_a_failure_that_is_not_of_memory_is_explained_and_leaves_its_traceback(monkeypatch, caplog):
    def fails(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access")

    monkeypatch.setattr(runs.Runner, "__call__", fails)
    with pytest.raises(ValueError, match=r"could not run here \(CUDA error"):
        networks.run(Choice("fcn-vgg16", "untrained"), np.full_like(PHOTO, 99))
    assert "in fails" in caplog.text


@pytest.mark.usefixtures("thin")
def test_the_page_says_that_a_network_had_to_run_elsewhere(visit_page, monkeypatch):
    run = networks.engine.run_noted
    monkeypatch.setattr(
        networks.engine, "run_noted", lambda *args: (run(*args)[0], ("Computed on the moon.",))
    )
    app = visit_page(network="fcn-vgg16", mode="untrained")
    assert not app.exception
    assert any("Computed on the moon." in text.value for text in app.caption)


@pytest.mark.usefixtures("thin")
def test_when_too_many_wait_the_choice_is_kept(visit_page, monkeypatch):
    def busy(*_: object) -> None:
        raise Busy(64)

    app = visit_page()
    with monkeypatch.context() as patched:
        patched.setattr(networks.engine, "run_noted", busy)
        app.query_params["network"], app.query_params["mode"] = "fcn-vgg16", "untrained"
        app.run()
    assert "64 visitors wait" in app.error[0].value
    assert state(app).choice == Choice("fcn-vgg16", "untrained")
    next(button for button in app.button if button.label == "Try again").click().run()
    assert not app.error
    shown = state(app).shown
    assert shown is not None
    assert shown.choice == Choice("fcn-vgg16", "untrained")


# ---------------------------------------------------------------------------------- who may do what


@pytest.mark.parametrize(
    ("ip", "headers", "local"),
    [
        (None, {"Host": "localhost:8501", "Origin": "http://localhost:8501"}, True),
        (None, {"Host": "127.0.0.1:8501"}, True),
        ("::1", {"Host": "[::1]:8501", "Origin": "http://[::1]:8501"}, True),
        ("192.168.0.7", {"Host": "localhost:8501"}, False),
        ("192.168.0.7", {"Host": "192.168.0.5:8501"}, False),
        (None, {"Host": "explainer.example"}, False),
        (None, {"Host": "localhost:8501", "Origin": "https://evil.example"}, False),
        (None, {"Host": "localhost:8501", "X-Forwarded-For": "1.2.3.4"}, False),
        (None, {"Host": "127.0.0.1:8501", "Via": "1.1 proxy"}, False),
        (None, {}, False),
        (None, {"Host": "localhost.evil.example"}, False),
        (None, {"Host": "127.0.0.1.evil.example"}, False),
    ],
)
def test_who_sits_at_the_machine(ip, headers, local):
    assert is_local(ip, headers) is local


@pytest.mark.parametrize(
    ("setting", "local", "remote"),
    [(None, True, False), ("local", True, False), ("anyone", True, True), ("nobody", False, False),
     ("yes", False, False)],
)  # fmt: skip
def test_the_owner_of_the_server_decides(monkeypatch, setting, local, remote):
    if setting is not None:
        monkeypatch.setenv(networks.VARIABLE, setting)
    for ip, expected in ((None, local), ("10.0.0.2", remote)):
        context = SimpleNamespace(ip_address=ip, headers={"host": "localhost:8501"})
        monkeypatch.setattr(networks.st, "context", context)
        assert networks.may_change_files() is expected


# --------------------------------------------------------------------------- files and downloads


class Trap:
    """A pickle that would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize(
    "hostile",
    ["trap", "cut", "page", "folder", "pipe", "name", "missing", "huge", "nobody", "published"],
)
def test_hostile_files_leave_nothing_behind(hostile, tmp_path, cache):
    trapped = tmp_path / "trapped"
    path = tmp_path / "mine.pth"
    if hostile == "trap":
        path.write_bytes(pickle.dumps({"conv1_1.weight": Trap(trapped)}, protocol=2))
    elif hostile == "cut":
        torch.save(release(8), path)
        path.write_bytes(path.read_bytes()[:5000])
    elif hostile == "page":
        path.write_text("<!DOCTYPE html><html>404</html>")
    elif hostile == "folder":
        path.mkdir()
    elif hostile == "pipe":
        os.mkfifo(path)
    elif hostile == "name":
        path = tmp_path / "passwd"
        path.write_text("root:x:0:0")
    elif hostile == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)  # holes take no room
    elif hostile == "nobody":
        path = Path("~nobody-of-this-name/mine.pth")
    elif hostile == "published":  # by a name whose checksum is not known
        path = tmp_path / "fcn-alexnet-pascal.caffemodel"
        path.write_bytes(as_caffemodel(release(8)))
    with pytest.raises(ValueError, match=r"mine\.pth|alexnet|none of the files"):
        networks.take(path, "fcn-vgg16")
    assert not trapped.exists()
    assert not list(cache.iterdir())


@pytest.mark.usefixtures("thin")
def test_a_file_of_ones_own_is_copied_and_run(tmp_path, cache):
    torch.save(release(16, seed=5), tmp_path / "mine.pth")
    choice = networks.take(tmp_path / "mine.pth", "fcn-vgg16")
    assert choice == Choice("fcn-vgg16", "own-file", "mine.pth")
    assert [path.name for path in cache.iterdir()] == ["mine.pth"]
    assert parse("fcn-vgg16", "own-file", "mine.pth") == choice
    assert networks.run(choice, PHOTO)[0].outputs == (32, 16)
    with pytest.raises(FileError, match="there already"):
        networks.take(tmp_path / "mine.pth", "fcn-vgg16")
    (tmp_path / "fcn8s_from_caffe.pth").write_bytes((tmp_path / "mine.pth").read_bytes())
    with pytest.raises(FileError, match="name of a published file, but its checksum differs"):
        networks.take(tmp_path / "fcn8s_from_caffe.pth", "fcn-vgg16")


@pytest.mark.usefixtures("thin")
def test_what_was_found_in_a_file_of_ones_own_stands_where_the_class_looks(visit_page, cache):
    def heading(app: AppTest) -> str:
        return next(text.value for text in app.markdown if text.value.startswith("**FCN"))

    torch.save(torchvision(release()), cache / "trunk.pth")
    torch.save(release(8, seed=5), cache / "mine.pth")
    app = visit_page(network="fcn-vgg16", mode="own-file", weights="trunk.pth", view="The network")
    assert "the labels mean nothing" in heading(app), "in the run that read the file"
    app.run()
    assert "the labels mean nothing" in heading(app)
    app.selectbox(key="chosen_file").set_value("mine.pth").run()
    assert not app.exception, app.exception
    assert heading(app).startswith(r"**FCN\-VGG16, mine\.pth.**")
    assert "mean nothing" not in said(app), "nor in the section below"


@pytest.mark.usefixtures("thin", "unsigned")
def test_a_published_file_is_known(tmp_path, cache):
    (tmp_path / "fcn8s-heavy-pascal.caffemodel").write_bytes(as_caffemodel(release(8)))
    choice = networks.take(tmp_path / "fcn8s-heavy-pascal.caffemodel", "fcn-alexnet")
    assert choice == Choice("fcn-vgg16", "skips-left-out")
    assert networks.ready(choice)


@pytest.mark.usefixtures("thin")
def test_taking_a_file_on_the_page(visit_page, monkeypatch, tmp_path, cache):
    monkeypatch.setenv(networks.VARIABLE, "anyone")
    app = visit_page(network="fcn-vgg16", mode="untrained", view="The network")
    take = next(button for button in app.button if button.label == "Take a copy")
    app.text_input(key="own_path").set_value(str(tmp_path / "nothing.pth"))
    take.click().run()
    assert "is not a file on this computer" in app.error[0].value.replace("\\", "")
    torch.save(release(8, seed=5), tmp_path / "mine.pth")
    app.text_input(key="own_path").set_value(str(tmp_path / "mine.pth"))
    next(button for button in app.button if button.label == "Take a copy").click().run()
    assert not app.exception
    assert not app.error
    assert state(app).choice == Choice("fcn-vgg16", "own-file", "mine.pth")
    assert app.query_params["weights"] == "mine.pth"
    assert "mine.pth" in said(app).replace("\\", "")


@pytest.fixture
def host(serve: Callable[..., Host], monkeypatch: pytest.MonkeyPatch) -> Host:
    """FCN-ResNet50's weights are on a host of this machine."""
    found = serve()
    file = File("fcn_resnet50_coco-1167a1af.pth", (found.url,), len(DATA), (("md5", MD5),))
    checkpoint = replace(CHECKPOINTS["fcn-resnet50"], files=(file,))
    monkeypatch.setitem(CHECKPOINTS, "fcn-resnet50", checkpoint)  # pyright: ignore
    return found


def wait(queue: Downloads) -> None:
    for thread in threading.enumerate():
        if thread.name == "download weights":
            thread.join(20)
    assert not queue.waiting


def test_a_download_goes_on_where_it_stopped(host, cache):
    queue = Downloads()
    host.stops_after = 300_000
    queue.start(["fcn-resnet50"])
    wait(queue)
    assert "stopped after 0 MB of 1 MB" in queue.outcome
    assert registry.received(CHECKPOINTS["fcn-resnet50"]) == 300_000
    host.stops_after = None
    queue.start(["fcn-resnet50"])
    wait(queue)
    assert queue.outcome == ""
    assert host.asked == ["", "bytes=300000-"]
    assert [path.name for path in cache.iterdir()] == ["fcn_resnet50_coco-1167a1af.pth"]
    assert networks.ready(Choice("fcn-resnet50", "as-published"))


def test_a_cancelled_download(host, monkeypatch):
    queue = Downloads()
    monkeypatch.setattr(queue, "_report", lambda progress: queue.cancel())
    queue.start(["fcn-resnet50"])
    wait(queue)
    assert queue.cancelled
    assert queue.outcome == ""
    assert not networks.ready(Choice("fcn-resnet50", "as-published"))


def test_one_download_at_a_time(host, monkeypatch):
    queue = Downloads()
    go = threading.Event()
    monkeypatch.setattr(queue, "_report", lambda progress: go.wait(20))
    queue.start(["fcn-resnet50"])
    queue.start(["fcn8s"])
    assert not queue.cancelled
    assert queue.waiting == ("fcn-resnet50",)
    go.set()
    wait(queue)
    assert queue.outcome == ""


def test_downloading_on_the_page(visit_page, host, monkeypatch):
    monkeypatch.setenv(networks.VARIABLE, "anyone")
    app = visit_page(network="fcn-resnet50", view="The network")
    words = said(app)
    assert "**1 MB** from 127.0.0.1 into" in words, "how much and whence, before the button"
    assert host.asked == []
    app.button(key="download_weights").click().run()
    assert not app.exception
    wait(networks.downloads())
    assert len(host.asked) == 1
    app.run()
    assert "cannot be used" in app.error[0].value, "it was no checkpoint"
    assert state(app).choice == BUNDLED


def test_cancelling_on_the_page(visit_page, host, monkeypatch):
    monkeypatch.setenv(networks.VARIABLE, "anyone")
    queue, arrived, go = networks.downloads(), threading.Event(), threading.Event()

    def slow(progress: registry.Progress) -> None:
        queue.progress = progress
        arrived.set()
        assert go.wait(60)

    monkeypatch.setattr(queue, "_report", slow)
    app = visit_page(network="fcn-resnet50", view="The network")
    app.button(key="download_weights").click().run()
    assert arrived.wait(60)
    app.run()
    (bar,) = app.get("progress")
    text = bar.proto.text.replace("\\", "")  # pyright: ignore
    assert text == "Downloading FCN-ResNet50: 0 of 1 MB from 127.0.0.1"
    assert "download_weights" not in [button.key for button in app.button]
    app.button(key="cancel_download").click().run()
    go.set()
    wait(queue)
    app.run()
    assert not app.exception
    assert not app.error, "as the visitor wanted it"
    assert "The download was cancelled." in said(app)
    assert app.button(key="download_weights")


# ------------------------------------------------------------------------------------------ in code


@pytest.mark.usefixtures("thin", "cache")
def test_the_lines_to_copy_run(tmp_path, monkeypatch):
    from PIL import Image

    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(snippets.python_lines("a.png", 768, Choice("fcn-vgg16", "untrained")), scope)
    assert set(scope["run"].labels) == {32, 16, 8}
    torch.save(release(32), tmp_path / "my net.pth")
    own = Choice("fcn-vgg16", "own-file", "my net.pth")
    exec(snippets.python_lines("a.png", 768, own), scope)
    assert set(scope["run"].labels) == {32}
    assert snippets.command_line("a.png", 768, own) == (
        "python -m explainer.fcn a.png --out out --network fcn-vgg16 --weights 'my net.pth'"
    )
    assert snippets.command_line("a.png", 384, Choice("fcn-vgg16", "untrained")).endswith(
        "--longest 384 --network fcn-vgg16 --mode untrained"
    )


def test_every_network_has_a_name_for_each_output():
    assert [found.one for found in NETWORKS.values()] == [
        None, None, "FCN-AlexNet", "FCN-GoogLeNet", "FCN-ResNet50",
    ]  # fmt: skip
