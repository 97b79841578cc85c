"""Networks with heatmaps and affinity fields (OpenPose's kind): their maps in our order, for our own association."""

from __future__ import annotations

import numpy as np

from xnect.geometry import frame_from_map
from xnect.skeleton.joints import LIMBS
from xnect.stages.foreign_model import OnnxModel, Recipe, placed, read_recipe
from xnect.structures import F32, U8, PoseMaps

#: First channel of each of our limbs among the 38 fields of OpenPose's COCO networks (x; y follows).
_FIELDS = {
    (1, 8): 0, (8, 9): 2, (9, 10): 4, (1, 11): 6, (11, 12): 8, (12, 13): 10, (1, 2): 12, (2, 3): 14, (3, 4): 16,
    (1, 5): 20, (5, 6): 22, (6, 7): 24, (1, 0): 28,
}  # fmt: skip
_CHANNELS = np.array([[_FIELDS[limb], _FIELDS[limb] + 1] for limb in LIMBS])
_HEATMAPS, _PAFS = (18, 19), 38


def map_outputs(shapes: list[tuple[int, ...]]) -> tuple[int, int] | None:
    """Which outputs are the heatmaps and the fields (the last of each: later stages are better); None = there are none."""
    heat = [i for i, s in enumerate(shapes) if len(s) == 4 and s[1] in _HEATMAPS]
    fields = [i for i, s in enumerate(shapes) if len(s) == 4 and s[1] == _PAFS]
    if not heat or not fields or shapes[heat[-1]][2:] != shapes[fields[-1]][2:]:
        return None
    return heat[-1], fields[-1]


def our_maps(heatmaps: F32, fields: F32, matrix: np.ndarray) -> PoseMaps:
    """OpenPose's 18 heatmaps (18, h, w) and 38 fields (38, h, w) as ours; the first 14 joints are the same."""
    return PoseMaps(
        np.ascontiguousarray(heatmaps[:14], np.float32),
        np.ascontiguousarray(fields[_CHANNELS], np.float32),
        None,
        matrix,
    )


class MapsNetwork:
    """Stands where Stage I's network stands.

    Attributes:
        description: Kind and file in words.
    """

    usual = Recipe(mean=(128.0, 128.0, 128.0), std=(256.0, 256.0, 256.0), fill=128)

    def __init__(self, model: OnnxModel, outputs: list[F32]) -> None:
        """Take over an open network whose outputs ``map_outputs`` knows."""
        which = map_outputs([o.shape for o in outputs])
        assert which is not None
        self.model, self._which = model, which
        model.recipe = read_recipe(model.path, self.usual)
        self.description = f"maps of {model.path.name} in onnxruntime"

    def __call__(self, image_bgr: U8) -> PoseMaps:
        """A BGR picture uint8 (H, W, 3) -> maps."""
        frame_px = (image_bgr.shape[1], image_bgr.shape[0])
        net_px = self.model.shape_for(frame_px)
        picture, _ = placed(image_bgr, net_px, self.model.recipe.fill)
        outputs = self.model(picture[None])
        heatmaps, fields = (np.nan_to_num(outputs[k][0], posinf=0.0, neginf=0.0) for k in self._which)
        return our_maps(heatmaps, fields, frame_from_map(frame_px, net_px, net_px[0] // heatmaps.shape[2]))
