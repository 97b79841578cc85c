"""A user's own 2D network: tiny ONNX files with the right inputs and outputs, whose people are known."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xnect import MotionCapture
from xnect.codec.heatmaps import draw_heatmaps
from xnect.codec.pafs import draw_pafs
from xnect.config import DetectionConfig, NetworkConfig, PipelineConfig
from xnect.errors import ConfigError, WeightsError, XnectError
from xnect.skeleton.joints import JOINTS_2D, LIMBS
from xnect.skeleton.layouts import COCO_17, OPENPOSE_18
from xnect.stages.stage_one import load_stage_one

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

#: A standing person in COCO's order, shares of height from the nose.
STANDING = np.array(
    [
        [0, 0], [0.02, -0.02], [-0.02, -0.02], [0.04, 0], [-0.04, 0], [0.1, 0.12], [-0.1, 0.12], [0.14, 0.3],
        [-0.14, 0.3], [0.15, 0.45], [-0.15, 0.45], [0.06, 0.45], [-0.06, 0.45], [0.07, 0.68], [-0.07, 0.68],
        [0.07, 0.9], [-0.07, 0.9],
    ]
)  # fmt: skip
PLACES = np.array([[150.0, 60.0], [420.0, 80.0]])
PEOPLE = STANDING * 300 + PLACES[:, None]  # (2, 17, 2) px of a 640 x 400 picture
OURS = [j for j, name in enumerate(JOINTS_2D) if name in COCO_17]
THEIRS = [COCO_17.index(JOINTS_2D[j]) for j in OURS]


def save(path, nodes, inputs, outputs, constants=()):
    """Write a network; inputs and outputs are (name, type, shape)."""
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants]
    info = [[helper.make_tensor_value_info(*v) for v in side] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "net", info[0], info[1], values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def constant_net(path, shape, kind, outputs, given="x"):
    """Gives the same outputs whatever the picture: their sum with 0 times the mean of the picture."""
    nodes = [
        helper.make_node("Cast", [given], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["m"], keepdims=0),
    ]
    nodes.append(helper.make_node("Mul", ["m", "zero"], ["z"]))
    constants = [("zero", np.float32(0))]
    for name, value in outputs.items():
        nodes.append(helper.make_node("Add", [f"{name}_c", "z"], [name]))
        constants.append((f"{name}_c", np.asarray(value, np.float32)))
    declared = [(name, TensorProto.FLOAT, list(np.shape(value))) for name, value in outputs.items()]
    return save(path, nodes, [(given, kind, shape)], declared, constants)


def find(path, image=None, **network):
    config = PipelineConfig(network=NetworkConfig(device="cpu", detector=str(path), threads=1, **network))
    detector = load_stage_one(config)
    return detector, detector(np.full((400, 640, 3), 60, np.uint8) if image is None else image)


def expect_people(found, tolerance=0.5, people=PEOPLE):
    """Both people, each joint where it is, the surer one first."""
    assert len(found) == len(people)
    for row in range(len(people)):
        np.testing.assert_allclose(found.joints_px[row, OURS], people[row, THEIRS], atol=tolerance)
        middle = people[row, [5, 6]].mean(0)
        np.testing.assert_allclose(found.joints_px[row, 1], middle, atol=max(tolerance, 20 if tolerance > 1 else 0.5))
    assert (found.confidence > 0).all()


def rtmo(path, extra=()):
    scale = 640 / 640
    points = np.full((1, 4, 17, 3), 0.9)
    points[0, :2, :, :2] = PEOPLE * scale
    points[0, 2] = points[0, 0] + [2, 2, 0]  # a double
    boxes = np.zeros((1, 4, 5))
    boxes[0, :, :2], boxes[0, :, 2:4] = points[0, ..., :2].min(1), points[0, ..., :2].max(1)
    boxes[0, :, 4] = [0.9, 0.8, 0.6, 0.05]
    outputs = {"dets": boxes, "keypoints": points} | dict(extra)
    return constant_net(path, [1, 3, 640, 640], TensorProto.FLOAT, outputs)


def test_rtmo(tmp_path):
    detector, found = find(rtmo(tmp_path / "rtmo.onnx"))
    assert "RTMO" in detector.description
    expect_people(found)
    np.testing.assert_allclose(found.score, [0.9, 0.8], atol=1e-6)
    half = np.full((200, 320, 3), 60, np.uint8)  # the network's picture is twice as large
    np.testing.assert_allclose(detector(half).joints_px, found.joints_px / 2, atol=0.01)


def test_unsure_joints_are_not_seen_and_the_recipe_moves_the_mark(tmp_path):
    path = rtmo(tmp_path / "rtmo.onnx")
    (tmp_path / "rtmo.json").write_text(json.dumps({"threshold": 0.95}))
    assert len(find(path)[1]) == 0
    (tmp_path / "rtmo.json").write_text(
        json.dumps({"threshold": 0.5, "keypoints": [f"k{n}" for n in range(16)] + ["nose"]})
    )
    found = load_stage_one(
        PipelineConfig(network=NetworkConfig(detector=str(path)), detection=DetectionConfig(min_joints=1))
    )(np.zeros((400, 640, 3), np.uint8))
    assert (found.confidence > 0).sum(1).tolist() == [1, 1]
    np.testing.assert_allclose(found.joints_px[:, 0], PEOPLE[:, 16], atol=0.01)


def test_channels_and_scaling_reach_the_network(tmp_path):
    """A network whose confidences are the mean of its first channel, so that they show what came in."""
    points = np.zeros((1, 2, 17, 3), np.float32)
    points[0, ..., :2] = PEOPLE
    boxes = np.concatenate([PEOPLE.min(1), PEOPLE.max(1), [[0.9], [0.8]]], 1)[None].astype(np.float32)
    nodes = [
        helper.make_node("Slice", ["x", "a", "b", "c"], ["first"]),
        helper.make_node("ReduceMean", ["first"], ["m"], keepdims=0),
        helper.make_node("Mul", ["m", "unit"], ["add"]),
        helper.make_node("Add", ["points", "add"], ["keypoints"]),
        helper.make_node("Identity", ["boxes"], ["dets"]),
    ]
    unit = np.zeros((1, 2, 17, 3), np.float32)
    unit[..., 2] = 1
    constants = [
        ("a", np.array([0])), ("b", np.array([1])), ("c", np.array([1])), ("unit", unit), ("points", points), ("boxes", boxes),
    ]  # fmt: skip
    path = save(
        tmp_path / "net.onnx", nodes, [("x", TensorProto.FLOAT, [1, 3, 400, 640])],
        [("dets", TensorProto.FLOAT, [1, 2, 5]), ("keypoints", TensorProto.FLOAT, [1, 2, 17, 3])], constants,
    )  # fmt: skip
    image = np.zeros((400, 640, 3), np.uint8)
    image[:] = (110, 120, 130)
    for recipe, want in (
        ({"std": [200, 200, 200]}, 110 / 200),
        ({"channels": "RGB", "std": [200, 200, 200]}, 130 / 200),
        ({"channels": "RGB", "mean": [100, 0, 0], "std": [60, 1, 1]}, 0.5),
    ):
        (tmp_path / "net.json").write_text(json.dumps(recipe))
        _, found = find(path, image)
        np.testing.assert_allclose(found.confidence, want, atol=1e-3)


def test_movenet_of_several_people(tmp_path):
    rows = np.zeros((1, 6, 56))
    for row, person in enumerate(PEOPLE[::-1]):
        rows[0, row, :51] = np.stack([person[:, 1] / 400, person[:, 0] / 640, np.full(17, 0.7)], -1).ravel()
        rows[0, row, 55] = 0.4 + 0.2 * row
    path = constant_net(tmp_path / "m.onnx", [1, "h", "w", 3], TensorProto.INT32, {"output_0": rows})
    detector, found = find(path, input_size=(640, 400))
    assert "MoveNet" in detector.description
    # 640 x 400 goes into a picture of 640 x 384 (multiples of 32), there 614 x 384: shares are of that picture.
    expect_people(found, people=PEOPLE * [640 / 614.4, 1])
    np.testing.assert_allclose(found.score, [0.6, 0.4], atol=1e-6)


def test_movenet_of_one_person(tmp_path):
    rows = np.stack([PEOPLE[0, :, 1] / 640, PEOPLE[0, :, 0] / 640, np.full(17, 0.7)], -1)[None, None]
    path = constant_net(tmp_path / "m.onnx", [1, 192, 192, 3], TensorProto.INT32, {"output_0": rows})
    expect_people(find(path)[1], people=PEOPLE[:1])


def test_yolo_pose(tmp_path):
    cells = np.zeros((1, 56, 90))
    for column, person in ((7, PEOPLE[1]), (40, PEOPLE[0]), (41, PEOPLE[0] + 1)):
        low, high = person.min(0), person.max(0)
        cells[0, :5, column] = [*(low + high) / 2, *(high - low), 0.5 + column / 100]
        cells[0, 5:, column] = np.concatenate([person, np.full((17, 1), 0.9)], 1).ravel()
    path = constant_net(tmp_path / "yolo.onnx", [1, 3, 640, 640], TensorProto.FLOAT, {"output0": cells})
    expect_people(find(path)[1], people=PEOPLE, tolerance=1.1)  # of the doubles the surer one is kept


def spot_finder(path, bins=2, batch="n"):
    """SimCC of a bright spot: all 17 joints are where the picture is brightest."""
    nodes = []
    for axis, sides in (("x", [1, 2]), ("y", [1, 3])):
        nodes += [
            helper.make_node("ReduceMax", ["x"], [f"{axis}1"], axes=sides, keepdims=0),
            helper.make_node("Mul", [f"{axis}1", "tenth"], [f"{axis}t"]),
            helper.make_node("Unsqueeze", [f"{axis}t", "axes"], [f"{axis}2"]),
            helper.make_node("Expand", [f"{axis}2", f"{axis}shape"], [f"{axis}3"]),
            helper.make_node("Resize", [f"{axis}3", "", f"{axis}scale"], [f"simcc_{axis}"], mode="nearest",
                             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        ]  # fmt: skip
    constants = [
        ("axes", np.array([1])), ("tenth", np.float32(0.3)), ("xshape", np.array([1, 17, 192])), ("yshape", np.array([1, 17, 256])),
        ("xscale", np.array([1, 1, bins], np.float32)), ("yscale", np.array([1, 1, bins], np.float32)),
    ]  # fmt: skip
    outputs = [(f"simcc_{a}", TensorProto.FLOAT, [batch, 17, bins * s]) for a, s in (("x", 192), ("y", 256))]
    return save(path, nodes, [("x", TensorProto.FLOAT, [batch, 3, 256, 192])], outputs, constants)


def boxes_net(path, extra=True):
    boxes = np.array([[[50, 40, 200, 380, 0.95], [300, 60, 420, 300, 0.7], [300, 60, 420, 300, 0.9]]], np.float32)
    outputs = {"dets": boxes} | ({"labels": np.array([[0, 0, 5]])} if extra else {})
    return constant_net(path, [1, 3, 416, 416], TensorProto.FLOAT, outputs)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_top_down_maps_cut_outs_back(tmp_path, batch):
    """The spots lie at known places inside the boxes; the way there and back must agree within a bin."""
    scale = 640 / 416
    spots = np.array([[120, 150], [370, 200]]) * scale
    image = np.zeros((640, 640, 3), np.uint8)
    for x, y in spots.round().astype(int):
        image[y - 4 : y + 5, x - 4 : x + 5] = 255
    path = spot_finder(tmp_path / "pose.onnx", batch=batch)
    detector, found = find(path, image, boxes=str(boxes_net(tmp_path / "boxes.onnx")))
    assert "RTMPose" in detector.description
    assert found.score.tolist() == pytest.approx([0.95, 0.7])  # the third box is another class
    for joints, spot in zip(found.joints_px[:, OURS], spots, strict=True):
        assert np.abs(joints - spot).max() < 7  # the first of the equally bright cells, spots of 9 px
    assert len(detector(np.zeros((64, 64, 3), np.uint8))) == 0  # no spot, no joint


def test_yolox_cells_as_boxes(tmp_path):
    cells = np.full((1, 52 * 52 + 26 * 26 + 13 * 13, 85), -5.0, np.float32)
    cells[0, :, 4] = 0
    place = 10 * 52 + 12  # column 12, row 10 of stride 8
    cells[0, place, :6] = [0.5, 0.25, np.log(10), np.log(20), 0.9, 1.0]
    path = constant_net(tmp_path / "yolox.onnx", [1, 3, 416, 416], TensorProto.FLOAT, {"output": cells})
    detector, _ = find(spot_finder(tmp_path / "pose.onnx"), boxes=str(path))
    boxes, scores = detector.boxes(np.zeros((416, 416, 3), np.uint8), 5)
    np.testing.assert_allclose(boxes, [[12.5 * 8 - 40, 10.25 * 8 - 80, 12.5 * 8 + 40, 10.25 * 8 + 80]], atol=1e-3)
    assert scores.tolist() == pytest.approx([0.9])


def openpose_maps(path):
    """18 heatmaps and 38 fields of the two people, in the order of OpenPose's COCO networks."""
    height, width = 400 // 8, 640 // 8
    coco = {name: PEOPLE[:, k] for k, name in enumerate(COCO_17)} | {"neck": PEOPLE[:, [5, 6]].mean(1)}
    cells = (np.stack([coco[name] for name in OPENPOSE_18], 1) + 0.5) / 8 - 0.5
    seen, wide = np.ones((2, 18), bool), np.ones(2)
    heat = np.concatenate(
        [draw_heatmaps(cells[:, j : j + 14], seen[:, j : j + 14], wide, (height, width)) for j in (0, 4)]
    )
    heat = np.concatenate([heat[:14], heat[-4:], np.zeros((1, height, width))])
    order = [(1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 2), (2, 3), (3, 4), (2, 16), (1, 5), (5, 6), (6, 7),
             (5, 17), (1, 0), (0, 14), (0, 15), (14, 16), (15, 17)]  # fmt: skip
    ours = draw_pafs(cells[:, :14], seen[:, :14], wide, LIMBS, (height, width))
    fields = np.concatenate(
        [ours[LIMBS.index(pair)] if pair in LIMBS else np.zeros((2, height, width)) for pair in order]
    )
    blank = np.zeros((1, 19, height, width))
    outputs = {
        "first_heat": blank,
        "first_fields": np.zeros((1, 38, height, width)),
        "heat": heat[None],
        "fields": fields[None],
    }
    return constant_net(path, [1, 3, 400, 640], TensorProto.FLOAT, outputs)


def test_heatmaps_and_fields(tmp_path):
    path = openpose_maps(tmp_path / "maps.onnx")
    detector, found = find(path)
    assert "maps" in detector.description
    order = np.argsort(found.joints_px[:, 1, 0])
    people = type(found)(found.joints_px[order], found.confidence[order], found.score[order])
    expect_people(people, tolerance=1.5)
    capture = MotionCapture.from_config(PipelineConfig(network=NetworkConfig(detector=str(path))))
    assert len(capture(np.zeros((400, 640, 3), np.uint8)).people) == 2
    assert capture.last_maps is not None


def test_in_the_pipeline(tmp_path):
    path = rtmo(tmp_path / "rtmo.onnx")
    config = PipelineConfig(network=NetworkConfig(detector=str(path)))
    capture = MotionCapture.from_config(config)
    capture.warm_up()
    results = [capture(np.zeros((400, 640, 3), np.uint8)) for _ in range(5)]
    assert [p.id for p in results[-1].people] == [1, 2]
    assert all(2 < p.root[0][2] < 12 for p in results[-1].people)
    assert "RTMO" in capture.description
    capture.reconfigure(PipelineConfig(network=config.network, detection=DetectionConfig(max_people=1)))
    assert len(capture(np.zeros((400, 640, 3), np.uint8)).people) == 1


def test_what_cannot_be_used_is_told(tmp_path):
    blank = np.zeros((1, 7))
    cases = [
        (constant_net(tmp_path / "a.onnx", [1, 3, 64, 64], TensorProto.FLOAT, {"o": blank}), {}, WeightsError, "outputs 1x7"),
        (constant_net(tmp_path / "b.onnx", [1, 100], TensorProto.FLOAT, {"o": blank}), {}, WeightsError, "one input"),
        (tmp_path / "none.onnx", {}, WeightsError, "no such file"),
        (boxes_net(tmp_path / "boxes.onnx"), {}, ConfigError, "give it as --boxes"),
        (spot_finder(tmp_path / "pose.onnx"), {}, ConfigError, "give --boxes"),
        (rtmo(tmp_path / "r.onnx"), {"boxes": str(tmp_path / "boxes.onnx")}, ConfigError, "leave --boxes out"),
        (tmp_path / "pose.onnx", {"boxes": str(tmp_path / "r.onnx")}, WeightsError, "1xNx5 and classes"),
    ]  # fmt: skip
    for path, network, error, what in cases:
        with pytest.raises(error, match=what):
            find(path, **network)
    for content in (b"", b"not a network", rtmo(tmp_path / "r.onnx").read_bytes()[:200]):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(WeightsError, match=r"bad.onnx"):
            find(tmp_path / "bad.onnx")
    for recipe in ("[", "[]", '{"mean": [1, 2]}', '{"std": [0, 1, 1]}', '{"colour": 1}', '{"keypoints": ["a"]}'):
        (tmp_path / "r.json").write_text(recipe)
        with pytest.raises(WeightsError, match=r"r\.json|beside it"):
            find(tmp_path / "r.onnx")
    with pytest.raises(ConfigError, match="goes with a --detector"):
        load_stage_one(PipelineConfig(network=NetworkConfig(boxes="a.onnx")))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_damaged_networks_are_refused_or_run(tmp_path, cut, place, byte):
    whole = rtmo(tmp_path / "whole.onnx").read_bytes()
    data = bytearray(whole[: len(whole) - max(cut - 300, 0)])  # mostly whole, so that damage goes deep
    data[place % len(data)] = byte
    (tmp_path / "broken.onnx").write_bytes(bytes(data))
    try:
        _, found = find(tmp_path / "broken.onnx")
    except XnectError:
        return
    assert np.isfinite(found.joints_px).all()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
def test_numbers_gone_wild_are_nobody(tmp_path, value):
    boxes, points = np.full((1, 3, 5), value), np.full((1, 3, 17, 3), value)
    path = constant_net(tmp_path / "n.onnx", [1, 3, 64, 64], TensorProto.FLOAT, {"dets": boxes, "keypoints": points})
    assert len(find(path)[1]) == 0
    boxes[:], points[..., :2] = [1, 1, 9, 9, 0.9], value
    path = constant_net(tmp_path / "n.onnx", [1, 3, 64, 64], TensorProto.FLOAT, {"dets": boxes, "keypoints": points})
    assert np.isfinite(find(path)[1].joints_px).all()
