"""The recipe from start to end on a data set of a few small photos."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from explainer.fcn.mobilenet import CHANNELS, MobileNetV2
from explainer.fcn.network import ContextHead, small_fcn
from explainer.fcn.voc import IGNORE, PALETTE
from explainer.fcn.weights import load_small
from explainer.training import __main__ as command
from explainer.training.__main__ import main
from explainer.training.data import Augmentation, crops, load, sampling_weights
from explainer.training.start import Teacher, read, start_from
from explainer.training.train import Recipe, Stage, begin


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six photos with a coloured square each: its class is its colour."""
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    names = [f"p{index}" for index in range(6)]
    for index, name in enumerate(names):
        photo = rng.integers(100, 140, (80, 96, 3)).astype(np.uint8)
        labels = np.zeros((80, 96), np.uint8)
        kind = 8 if index % 3 else 15
        photo[20:60, 30:70] = PALETTE[kind]
        labels[20:60, 30:70] = kind
        labels[20, 30:70] = IGNORE
        Image.fromarray(photo).save(root / "images" / f"{name}.jpg", quality=95)
        mask = Image.fromarray(labels)
        mask.putpalette(PALETTE.tobytes())
        mask.save(root / "masks" / f"{name}.png")
    splits = {"train": names[:4], "pseudo": names[4:], "val": names[:2]}
    (root / "splits.json").write_text(json.dumps(splits))
    return root


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starting weights of the published form: numbered convolutions, here with random values."""
    torch.manual_seed(0)
    modules = [MobileNetV2(), ContextHead(CHANNELS[32], 256, 21)]
    layers = [layer for module in modules for layer in module.modules()]
    state = {}
    for number, layer in enumerate(layer for layer in layers if isinstance(layer, nn.Conv2d)):
        assert layer.bias is not None
        state[f"{number:03d}.weight"] = layer.weight.detach().half()
        state[f"{number:03d}.bias"] = layer.bias.detach().half()
    assert len(state) == 2 * 55
    path = tmp_path_factory.mktemp("start") / "deeplab.safetensors"
    save_file(state, path)
    return path


def test_going_back_moves_all_but_the_skips_towards_the_start(start):
    recipe = Recipe((Stage(1, 0, 0.1, 0.1),))
    run = begin(start, recipe, "cpu")
    with torch.no_grad():
        for weight in (*run.network.parameters(), *run.average.network.parameters()):
            weight.add_(1)
    run.go_back(0.25)
    fresh = begin(start, recipe, "cpu")
    for name, weight in run.network.state_dict().items():
        moved = weight - fresh.network.state_dict()[name]
        skip = name.startswith(("heads.16.", "heads.8."))
        if skip:  # drawn at random, but for the last layer, which starts at zero
            moved = moved if ".score." in name else torch.ones_like(moved)
        torch.testing.assert_close(moved, torch.full_like(moved, 1.0 if skip else 0.25))
        torch.testing.assert_close(run.average.network.state_dict()[name], weight)


def test_starting_weights_go_where_they_belong(start):
    state = read(start)
    network, teacher = small_fcn(), Teacher(state)
    start_from(network, state)
    photo = torch.randn(1, 3, 129, 97)
    network.eval()
    teacher.eval()
    with torch.inference_mode():
        # Every second cell of the dense map is the strided map's; image pooling sees others.
        features, dense = network.trunk(photo)[32], teacher.trunk(photo)[32]
        torch.testing.assert_close(dense[..., ::2, ::2], features, atol=1e-4, rtol=1e-4)
        head = network.heads["32"]
        torch.testing.assert_close(head(dense), teacher.head(dense))
        assert (network(photo)[8] == 0).all()


def test_crops_follow_from_seed_and_number_alone(folder):
    examples = load(folder, ("train", "pseudo"))
    assert [example.name for example in examples] == [f"p{index}" for index in range(6)]
    weights = sampling_weights(examples, 0.5)
    assert weights.sum() == pytest.approx(1)
    # Two of six photos hold the rarer class.
    assert weights[0] > weights[1]
    augmentation = Augmentation(crop=65, paste=0.5)
    stream = crops(examples, weights, augmentation, 3, seed=7)
    batches = [next(stream) for _ in range(3)]
    again = next(crops(examples, weights, augmentation, 3, seed=7, start=2))
    torch.testing.assert_close(again.photos, batches[2].photos)
    assert torch.equal(again.labels, batches[2].labels)
    assert not torch.equal(batches[0].photos, batches[1].photos)
    for found in batches:
        assert found.photos.shape == (3, 3, 65, 65)
        assert found.labels.shape == (3, 65, 65)
        assert found.soft.shape == (3, 21, 9, 9)
        assert found.photos.abs().max() <= 1
        assert set(found.labels.unique().tolist()) <= {0, 8, 15, IGNORE}


def test_photo_and_labels_stay_together_under_all_augmentations(folder):
    examples = load(folder, ("train",))
    augmentation = Augmentation(crop=97, colour=0, paste=0.5)
    # A teacher that knows the labels at every 8th pixel.
    examples = [
        replace(example, soft=np.eye(256, 21, dtype=np.float16)[example.labels[::8, ::8]])
        for example in examples
    ]
    batch = next(crops(examples, sampling_weights(examples, 0), augmentation, 16, 3))
    colour = ((batch.photos + 1) * 127.5).permute(0, 2, 3, 1)
    for kind in (8, 15):
        found = colour[batch.labels == kind]
        assert len(found) > 500
        away = (found - torch.tensor(PALETTE[kind]).float()).abs().amax(1)
        assert (away < 40).float().mean() > 0.9
    near = batch.labels[:, ::8, ::8]
    known = (near != IGNORE) & (batch.soft.sum(1) > 0)
    assert known.float().mean() > 0.4
    assert (batch.soft.argmax(1) == near)[known].float().mean() > 0.85


def test_the_teacher_looks_at_several_scales_and_the_mirror_image(start):
    """Its opinion of a mirrored photo is the mirrored opinion, whatever its weights."""
    teacher = Teacher(read(start)).eval()
    # On a side of 8n+1 pixels the mirrored places are places too.
    photo = np.random.default_rng(0).integers(0, 256, (65, 97, 3), np.uint8)
    soft = teacher.soft_labels(photo, "cpu")
    assert soft.shape == (9, 13, 21)
    np.testing.assert_allclose(soft.astype(float).sum(2), 1, atol=5e-3)
    mirrored = teacher.soft_labels(photo[:, ::-1], "cpu")
    np.testing.assert_allclose(mirrored[:, ::-1].astype(float), soft.astype(float), atol=5e-3)


@pytest.mark.slow
def test_train_stop_resume_export_evaluate(folder, start, tmp_path, capsys):
    common = ["--data", str(folder), "--start", str(start), "--batch", "2", "--device", "cpu"]
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    main(["train", *common, "--out", str(whole), "--steps", "2", "2", "1"])
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
        (2, 1),
    ]
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert json.loads((whole / "recipe.json").read_text())["batch"] == 2

    # A run that is cut after three batches and resumed sees the same batches and ends the same.
    arguments = ["train", *common, "--out", str(halves), "--steps", "2", "2", "1"]
    whole_run = command.train

    def cut(*args):
        for count, figures in enumerate(whole_run(*args)):
            if count == 3:
                raise KeyboardInterrupt
            yield figures

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "train", cut)
        with pytest.raises(KeyboardInterrupt):
            main([*arguments, "--save-every", "0"])
    with pytest.raises(SystemExit, match="--resume"):
        main(arguments)
    main([*arguments, "--resume"])
    ends = [load_file(out / "weights.safetensors") for out in (whole, halves)]
    begun = begin(start, command.recipe((2, 2, 1), 2, 0), "cpu").network.state_dict()
    moved = 0.0
    for name, tensor in ends[0].items():
        moved = max(moved, float((tensor.float() - begun[name]).abs().max()))
        torch.testing.assert_close(tensor, ends[1][name], atol=1e-6, rtol=1e-3)
    assert moved > 1e-4

    # Of another recipe it is not the continuation, and nothing says that it was.
    for name, change in (("seed", ["--seed", "9"]), ("stages", ["--steps", "3", "3", "3"])):
        with pytest.raises(SystemExit, match=f"other settings .{name}."):
            main([*arguments, "--resume", *change])
    assert json.loads((halves / "recipe.json").read_text())["seed"] == 0
    with pytest.raises(SystemExit, match="none"):
        main([*arguments[:3], "--start", "none", "--out", str(tmp_path / "new"), "--batch", "2"])

    load_small(whole / "weights.safetensors")
    capsys.readouterr()
    weights = str(whole / "weights.safetensors")
    main(["evaluate", "--data", str(folder), "--weights", weights, "--device", "cpu"])
    printed = capsys.readouterr().out
    assert "2 photos of val" in printed
    for words in ("FCN-32s |", "FCN-8s, 5 px around outlines", "| cat |", "mean IU"):
        assert words in printed
