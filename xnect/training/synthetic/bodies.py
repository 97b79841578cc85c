"""Bodies: shapes from coefficients, the 22-joint rig, and the labelled joints of a posed body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from xnect.errors import SourceError
from xnect.structures import F32, F64
from xnect.training.synthetic.assets import Assets

#: 21 labelled joints (order of skeleton/joints.py) as rig joints and points; the spine is a blend, see ``labels``.
_LABELS_3D = (
    "head_top", "neck", "upperarm_r", "lowerarm_r", "hand_r", "upperarm_l", "lowerarm_l", "hand_l",
    "thigh_r", "calf_r", "foot_r", "thigh_l", "calf_l", "foot_l", "pelvis", "spine_03", "head",
    "knuckle_r", "knuckle_l", "toe_r", "toe_l",
)  # fmt: skip
_SPINE, _NECK = 15, 1
#: Share of spine_03 in the labelled spine; the rest is the neck (the motion pack's spine lies between the two).
_SPINE_SHARE = 0.58


@njit(cache=True)
def blend_shapes(mean: np.ndarray, basis: np.ndarray, coef: np.ndarray, out: np.ndarray) -> None:
    """``out = mean + coef @ basis``; written out, since the order of a BLAS sum depends on its threads."""
    out[:] = mean
    for k in range(len(coef)):
        c = coef[k]
        if c != 0:
            row = basis[k]
            for i in range(len(out)):
                out[i] += c * row[i]


@njit(cache=True, fastmath=True)
def skin_vertices(rest: np.ndarray, joint: np.ndarray, weight: np.ndarray, world: np.ndarray, out: np.ndarray) -> None:
    """Linear blend skinning: rest (N, 3), joint and weight (N, K), world (J, 3, 4) -> out (N, 3)."""
    for i in range(len(rest)):
        x, y, z = rest[i, 0], rest[i, 1], rest[i, 2]
        a = b = c = np.float32(0)
        for k in range(joint.shape[1]):
            w = weight[i, k]
            if w > 0:
                j = joint[i, k]
                a += w * (world[j, 0, 0] * x + world[j, 0, 1] * y + world[j, 0, 2] * z + world[j, 0, 3])
                b += w * (world[j, 1, 0] * x + world[j, 1, 1] * y + world[j, 1, 2] * z + world[j, 1, 3])
                c += w * (world[j, 2, 0] * x + world[j, 2, 1] * y + world[j, 2, 2] * z + world[j, 2, 3])
        out[i, 0], out[i, 1], out[i, 2] = a, b, c


@njit(cache=True)
def _forward(
    joints: np.ndarray, points: np.ndarray, parents: np.ndarray, carrier: np.ndarray, rotations: np.ndarray,
    pelvis: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Posed joints, then points, from their places at rest and global rotations."""
    count = len(joints)
    for i in range(count + len(points)):
        p = parents[i] if i < count else carrier[i - count]
        for r in range(3):
            if p < 0:
                out[i, r] = pelvis[r]
                continue
            value = out[p, r]
            for c in range(3):
                here = joints[i, c] if i < count else points[i - count, c]
                value += rotations[p, r, c] * (here - joints[p, c])
            out[i, r] = value


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One body at rest.

    Attributes:
        vertices_m: float32 (N, 3), skin first, then helper vertices that only clothes are bound to.
        joints_m: float64 (22, 3), rig joints.
        points_m: float64 (15, 3), landmarks.
        sex: "male" or "female".
        age_years: Age.
        ethnic_mix: float (3,), shares of African, Asian, Caucasian.
        height_m: Standing height.
    """

    vertices_m: F32
    joints_m: F64
    points_m: F64
    sex: str
    age_years: float
    ethnic_mix: np.ndarray
    height_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Where a body stands and how its joints are turned.

    Attributes:
        rotations: float64 (22, 3, 3), global rotation of each rig joint (rest frames are the world frame).
        pelvis_m: float64 (3,), place of the pelvis joint in the world.
    """

    rotations: F64
    pelvis_m: F64

    def turned(self, about_y: F64, shift_m: F64) -> Pose:
        """The same pose turned by a world rotation (3, 3) about the origin, then moved."""
        return Pose(about_y @ self.rotations, about_y @ self.pelvis_m + shift_m)


class BodySpace:
    """The shared topology, rig and shape space of the pack's bodies."""

    def __init__(self, assets: Assets) -> None:
        try:
            data = dict(np.load(assets.folder / "bodies.npz"))
        except (OSError, ValueError) as error:
            raise SourceError(f"cannot read {assets.folder / 'bodies.npz'}: {error}") from error
        self.vertex_count, self.skin_count = int(data["n_vertices"]), int(data["n_skin"])
        self._mean = data["mean"].astype(np.float32).reshape(-1)
        self._basis = data["basis"].astype(np.float32).reshape(len(data["basis"]), -1)
        self.coefficients = np.concatenate([data["coef"], data["coef_extra"]]).astype(np.float32)
        self.named_count = len(data["coef"])
        self._sex = [str(s) for s in data["sex"]]
        self._age, self._mix = data["age"].astype(float), data["ethnic_mix"].astype(float)
        self.joint_names = [str(n) for n in data["joint_names"]]
        self.parents = data["joint_parent"].astype(np.int64)
        self.point_names = [str(n) for n in data["point_names"]]
        self.point_joint = data["point_joint"].astype(np.int64)
        self.faces = data["faces"].astype(np.int32)
        self.uv_index = data["uv_index"].astype(np.int32)
        self.uv = data["uv"].astype(np.float32)
        self.skin_joint = data["skin_joint"].astype(np.int32)
        weight = data["skin_weight"].astype(np.float32)
        self.skin_weight = weight / weight.sum(1, keepdims=True)
        self._where = {n: i for i, n in enumerate([*self.joint_names, *self.point_names])}
        self._label_index = np.array([self._where[n] for n in _LABELS_3D])

    @property
    def mean_skin(self) -> F32:
        """Skin vertices of the mean body (N, 3)."""
        return self._mean.reshape(-1, 3)[: self.skin_count]

    def at_rest(self, bind: np.ndarray, share: np.ndarray) -> F32:
        """Places (N, 3) on the mean body that are weighted means of three vertices each."""
        return (self._mean.reshape(-1, 3)[bind] * share[..., None]).sum(1).astype(np.float32)

    def joint(self, name: str) -> int:
        """Row of a rig joint."""
        return self._where[name]

    def sex(self, like: int) -> str:
        """Sex of a named body, "male" or "female"."""
        return self._sex[like]

    def age(self, like: int) -> float:
        """Age of a named body [years]."""
        return float(self._age[like])

    def mix(self, like: int) -> np.ndarray:
        """Origin of a named body: shares (3,) of African, Asian, Caucasian."""
        return self._mix[like]

    def shape(self, coefficients: np.ndarray, like: int) -> Body:
        """A body from shape coefficients (48,); sex, age and origin are taken from the named body ``like``."""
        flat = np.empty_like(self._mean)
        blend_shapes(self._mean, self._basis, coefficients.astype(np.float32), flat)
        rest = flat.reshape(-1, 3)
        joints = len(self.joint_names)
        points = rest[self.vertex_count + joints :].astype(np.float64)
        top = float(rest[: self.skin_count, 1].max())
        return Body(
            rest[: self.vertex_count],
            rest[self.vertex_count : self.vertex_count + joints].astype(np.float64),
            points,
            self._sex[like],
            float(self._age[like]),
            self._mix[like],
            top - float(rest[: self.skin_count, 1].min()),
        )

    def places(self, body: Body, pose: Pose) -> F64:
        """Posed rig joints and points, float64 (22 + 15, 3), world [m]."""
        out = np.empty((len(self.joint_names) + len(self.point_names), 3))
        _forward(body.joints_m, body.points_m, self.parents, self.point_joint, pose.rotations, pose.pelvis_m, out)
        return out

    def transforms(self, body: Body, pose: Pose) -> F32:
        """Rest-to-posed transforms of the rig joints, float32 (22, 3, 4)."""
        places = self.places(body, pose)[: len(self.parents)]
        shift = places - (pose.rotations @ body.joints_m[..., None])[..., 0]
        return np.concatenate([pose.rotations, shift[..., None]], -1).astype(np.float32)

    def labels(self, places: F64) -> tuple[F64, F64, F64]:
        """Labelled points of a posed body.

        Returns:
            The 21 joints (21, 3) in the order of JOINTS_3D, the nose (3,) and the middle of the shoulders (3,).
        """
        joints = places[self._label_index]
        joints[_SPINE] = _SPINE_SHARE * joints[_SPINE] + (1 - _SPINE_SHARE) * joints[_NECK]
        middle = (places[self._where["upperarm_r"]] + places[self._where["upperarm_l"]]) / 2
        return joints, places[self._where["nose"]], middle

    def at(self, places: F64, name: str) -> F64:
        """One posed joint or point by name."""
        return places[self._where[name]]

    def named_place(self, body: Body, name: str) -> F64:
        """One joint or point of a body at rest."""
        row = self._where[name]
        joints = len(self.joint_names)
        return body.joints_m[row] if row < joints else body.points_m[row - joints]
