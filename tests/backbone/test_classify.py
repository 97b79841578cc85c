"""Classification mode from the command line down to single pictures."""

import csv
import json
import os
import sys

import cv2
import numpy as np
import pytest
import torch

from backbone import classify, labels, pictures
from backbone.classify import ClassifyOptions, open_classifier
from backbone.cli import main
from backbone.errors import InputError, WeightsError
from backbone.preprocess import Preprocessing, prepare
from backbone.quiet import only_python_speaks
from backbone.results import Classification, Guess, draw
from backbone.validate import class_of_folders, validate
from tests.backbone.conftest import KINDS


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("backbone.pretrained.cache_dir", lambda: tmp_path / "cache")


def test_a_folder_goes_to_json(pictures, weights_file, tmp_path, capsys):
    output = tmp_path / "out" / "classes.json"
    drawings = tmp_path / "drawings"
    words = ["classify", str(pictures), "--weights", str(weights_file), "--output", str(output), "--topk", "2"]
    assert main([*words, "--drawings", str(drawings), "--batch", "2", "--no-display"]) == 3
    found = json.loads(output.read_text(encoding="utf-8"))
    assert (found["model"], found["weights"]) == ("selecsls42b", str(weights_file))
    assert found["preprocessing"]["size_px"] == 64
    assert [row["path"].rsplit("pictures", 1)[1][1:] for row in found["results"]] == [
        "a.png",
        "c.png",
        "deeper/grün.jpg",
    ]
    for row in found["results"]:
        first, second = row["top"]
        assert first["probability"] >= second["probability"] > 0
        assert first["name"] == KINDS[first["index"]]
    captured = capsys.readouterr()
    assert captured.out.count("%") == 6
    assert "RANDOM" not in captured.err
    assert "1 of 4 pictures could not be read" in captured.err
    assert len(list(drawings.iterdir())) == 3
    assert cv2.imread(str(next(drawings.iterdir()))).shape[0] >= 320
    # a second run does not overwrite
    assert main(words) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--limit", "1", "--no-progress"]) == 0
    assert len(json.loads(output.read_text(encoding="utf-8"))["results"]) == 1


def test_a_video_goes_to_csv(video, weights_file, tmp_path):
    output = tmp_path / "classes.csv"
    options = ClassifyOptions(video, weights=weights_file, output=output, every=4, display=False, topk=3)
    assert classify.run(options) == 0
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows[::3]] == ["0", "4", "8"]
    assert [float(row["time_s"]) for row in rows[::3]] == pytest.approx([0.0, 0.4, 0.8])
    assert [row["rank"] for row in rows[:3]] == ["1", "2", "3"]
    assert sum(float(row["probability"]) for row in rows[:3]) == pytest.approx(1, abs=1e-4)


def test_random_weights_are_told_everywhere(pictures, tmp_path, capsys, no_cache):
    output = tmp_path / "classes.json"
    source = str(pictures / "a.png")
    assert main(["classify", source, "--backbone", "selecsls42", "--output", str(output), "--no-display"]) == 0
    captured = capsys.readouterr()
    assert "RANDOM" in captured.err
    assert "--weights imagenet" in captured.err
    assert captured.out.rstrip().endswith("(random weights)")
    found = json.loads(output.read_text(encoding="utf-8"))
    assert found["weights"] == "random"
    top = found["results"][0]["top"]
    assert [guess["id"] for guess in top] == [labels.imagenet_labels().ids[guess["index"]] for guess in top]


def test_the_network_sees_what_it_was_trained_with(pictures, weights_file):
    classifier = open_classifier(weights=weights_file, device="cpu")
    assert classifier.how == Preprocessing(64, 1.0, "bilinear")
    image = classify.pictures.read_picture(pictures / "a.png")
    shares = classifier.probabilities([image])
    with torch.no_grad():
        expected = classifier.model(prepare([image], classifier.how)).softmax(dim=1).numpy()
    np.testing.assert_allclose(shares, expected, rtol=1e-5)
    (top,) = classifier([image], topk=2)
    assert [guess.index for guess in top] == list(np.argsort(-shares[0])[:2])
    assert len(classifier([image], topk=99)[0]) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["classify"], "one source"),
        (["classify", "gone.jpg"], "no picture, folder or video"),
        (["classify", "gone.jpg", "--camera", "0"], "one source"),
        (["classify", ".", "--topk", "0"], "at least 1"),
        (["classify", "PICTURE", "--weights", "gone.pth"], "no weights file"),
        (["classify", "PICTURE", "--weights", "WEIGHTS", "--backbone", "selecsls60"], "holds selecsls42b"),
        (["classify", "PICTURE", "--weights", "WEIGHTS", "--labels", "gone.txt"], "cannot read class names"),
        (["classify", "PICTURE", "--weights", "WEIGHTS", "--output", "x.txt"], ".json or .csv"),
        (["classify", "PICTURE", "--weights", "WEIGHTS", "--device", "warp"], "no device"),
        (["classify", "PICTURE", "--weights", "WEIGHTS", "--device", "cuda:63"], "no device"),
        (["classify", "PICTURE", "--backbone", "resnet50"], "unknown network"),
        (["classify", "TEXT"], "no picture, no video"),
        (["validate", "gone"], "no folder"),
        (["export", "x.pt", "--weights", "WEIGHTS"], ".onnx or .xml"),
        (["prune", "WEIGHTS", "--apply"], "--plan"),
    ],
)
def test_faults_are_one_line_and_exit_code_1(words, message, pictures, weights_file, capsys, no_cache):
    places = {"PICTURE": pictures / "a.png", "WEIGHTS": weights_file, "TEXT": pictures / "notes.txt"}
    given = [str(places.get(word, word)) for word in words]
    given += ["--weights", str(weights_file)] if words[0] == "validate" else []
    assert main(given) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_one_bad_picture_is_one_line_and_exit_code_1(pictures, weights_file, tmp_path, capfd):
    bad = tmp_path / "bad.png"
    bad.write_bytes((pictures / "a.png").read_bytes()[:60])  # libpng itself would write to the terminal
    assert main(["classify", str(bad), "--weights", str(weights_file)]) == 1
    told = capfd.readouterr().err.splitlines()
    assert told == [f"error: {bad} is no readable picture"]


def test_several_bad_pictures_are_a_line_each(weights_file, tmp_path, capfd):
    for name in "ab":
        (tmp_path / f"{name}.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    assert main(["classify", str(tmp_path), "--weights", str(weights_file)]) == 1
    assert capfd.readouterr().err.splitlines()[-1] == "2 of 2 pictures could not be read"


def test_c_libraries_are_kept_quiet_and_python_is_not(capfd):
    with only_python_speaks():
        os.write(2, b"libpng error: x\n")
        sys.stderr.write("ours\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "ours\nafter\n"


@pytest.mark.parametrize("command", ["classify", "summary", "validate", "train", "prune", "export"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "--" in capsys.readouterr().out


def test_an_interrupted_run_leaves_a_whole_file(pictures, weights_file, tmp_path, monkeypatch):
    seen = []

    def interrupted(self, images, topk=5):
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return [(Guess(0, "a", "a", 1.0),) for _ in images]

    monkeypatch.setattr(classify.ImageClassifier, "__call__", interrupted)
    output = tmp_path / "classes.json"
    words = ["classify", str(pictures), "--weights", str(weights_file), "--batch", "1", "--output", str(output)]
    assert main([*words, "--no-display"]) == 130
    assert len(json.loads(output.read_text())["results"]) == 1


def test_the_drawing_shows_the_guesses_and_keeps_the_rest():
    image = np.full((400, 600, 3), 200, np.uint8)
    top = (Guess(0, "a", "a cat, as they say", 0.9), Guess(1, "b", "ein Bär " * 30, 0.05))
    drawn = draw(image, Classification("x", None, None, top), "title")
    assert drawn.shape == image.shape
    assert (image == 200).all()
    assert (drawn[200:] == 200).all()
    green = (drawn == (60, 130, 40)).all(axis=2)
    assert 200 < np.flatnonzero(green.any(axis=0)).max() < 600
    assert (drawn[:100] == 255).any()


def test_class_names_from_files(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("n1\tcat\nn2\tdog\n", encoding="utf-8")
    assert labels.read_labels(path) == labels.Labels(("n1", "n2"), ("cat", "dog"))
    path = tmp_path / "names.json"
    path.write_text('["cat", "dog"]', encoding="utf-8")
    assert labels.read_labels(path).names == ("cat", "dog")
    for text in ("[]", "{}", "[1]", "nonsense"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError):
            labels.read_labels(path)
    model = classify.create_model("selecsls42", width=0.125, num_classes=3)
    with pytest.raises(InputError, match="2 class names for a network with 3"):
        classify.ImageClassifier(model, labels.plain_labels(["cat", "dog"]), Preprocessing())


def test_the_bundled_names_are_imagenet():
    names = labels.imagenet_labels()
    assert len(names) == len(set(names.ids)) == 1000
    assert list(names.ids) == sorted(names.ids)
    known = {0: ("n01440764", "tench"), 281: ("n02123045", "tabby"), 207: ("n02099601", "golden retriever")}
    known |= {817: ("n04285008", "sports car"), 999: ("n15075141", "toilet tissue")}
    for index, (identifier, name) in known.items():
        assert names.ids[index] == identifier
        assert names.names[index].startswith(name)


def test_validation_counts_right_answers(shapes, weights_file, tmp_path, capsys):
    classifier = open_classifier(weights=weights_file, device="cpu")
    found = validate(classifier, shapes / "val", batch=5, progress=False)
    assert found.pictures == 12
    own = [
        classifier.probabilities([pictures.read_picture(path)])[0].argmax() == index
        for index, kind in enumerate(KINDS)
        for path in sorted((shapes / "val" / kind).iterdir())
    ]
    assert found.top1 == pytest.approx(100 * np.mean(own))
    assert found.top5 == 100.0
    assert main(["validate", str(shapes / "val"), "--weights", str(weights_file), "--json", "--no-progress"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == found.top1


def test_a_network_that_says_nothing_gets_nothing(shapes, weights_file):
    classifier = open_classifier(weights=weights_file, device="cpu")
    with torch.no_grad():
        classifier.model.fc.weight.zero_()
        classifier.model.fc.bias.zero_()
    assert validate(classifier, shapes / "val", progress=False).top1 == pytest.approx(100 / 3)


def test_folders_find_their_classes():
    names = labels.imagenet_labels()
    assert class_of_folders(("n02123045", "n01440764"), names) == [281, 0]
    assert class_of_folders(("golden retriever",), labels.plain_labels(["x", "golden retriever"])) == [1]
    assert class_of_folders(("one", "two"), labels.numbered_labels(2)) == [0, 1]
    with pytest.raises(InputError, match="named like none"):
        class_of_folders(("one",), names)


def test_unknown_weights_are_not_taken_for_another_network(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="no SelecSLS classifier"):
        open_classifier(weights=tmp_path / "x.pth")
