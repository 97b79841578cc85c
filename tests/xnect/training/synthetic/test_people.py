import numpy as np
import pytest

from xnect.skeleton.joints import JOINTS_3D
from xnect.training.synthetic.bodies import Pose
from xnect.training.synthetic.collision import overlap
from xnect.training.synthetic.gestures import FREE, Gestures
from xnect.training.synthetic.ik import Limbs
from xnect.training.synthetic.motion import JOINTS, PARENTS, forward
from xnect.training.synthetic.moves import beside_m
from xnect.training.synthetic.outfits import Stylist
from xnect.training.synthetic.retarget import Retarget

pytestmark = pytest.mark.shared


def rest_pose(space, body):
    return Pose(np.broadcast_to(np.eye(3), (22, 3, 3)).copy(), body.joints_m[0])


def test_a_body_at_rest_keeps_its_vertices(studio):
    body = studio.space.shape(studio.space.coefficients[20], 20)
    assert 1.0 < body.height_m < 2.0
    person = studio.wardrobe.dressed(Stylist(studio.assets, studio.space, "train").looks(np.random.default_rng(1)))
    posed = person.posed(studio.space, rest_pose(studio.space, person.body), 0)
    assert np.abs(posed.vertices_m - person.rest.vertices_m).max() < 1e-4
    joints, nose, neck = studio.space.labels(studio.space.places(body, rest_pose(studio.space, body)))
    height = dict(zip(JOINTS_3D, joints[:, 1], strict=True))
    assert (
        height["head_top"] > height["head"] > height["neck"] > height["spine"] > height["pelvis"] > height["left_knee"]
    )
    assert joints[JOINTS_3D.index("left_shoulder"), 0] > 0 > joints[JOINTS_3D.index("right_shoulder"), 0]
    assert nose[2] > 0.05
    assert neck[0] == pytest.approx(0, abs=0.01)


def test_skinning_weights_sum_to_one_and_garments_have_no_stray_vertices(studio):
    for name in ("male_casual06_tee", "shoes05", "hair_bob01"):
        garment = studio.wardrobe.garment(name)
        assert np.allclose(garment.bone_weight.sum(1), 1, atol=1e-5)
        fitted = garment.fitted(studio.space.shape(studio.space.coefficients[5], 5))
        assert np.isfinite(fitted).all()
        assert np.abs(fitted).max() < 2.5


def test_limbs_point_as_the_source_does(studio):
    motion = studio.motion.load("cmu_14_24", np.arange(100, 130, 10))
    body = studio.space.shape(studio.space.coefficients[30], 30)
    for pose, source in zip(Retarget(studio.space, body, motion.offsets_m).poses(motion), motion.joints_m, strict=True):
        places = studio.space.places(body, pose)
        for ours, theirs in (
            (("upperarm_l", "lowerarm_l"), ("l_shoulder", "l_elbow")),
            (("calf_r", "foot_r"), ("r_knee", "r_ankle")),
        ):
            a = studio.space.at(places, ours[1]) - studio.space.at(places, ours[0])
            b = source[JOINTS.index(theirs[1])] - source[JOINTS.index(theirs[0])]
            assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.9999


def test_clips_have_their_bone_lengths_and_mirror_back(studio):
    motion = studio.motion.load("cmu_07_05", slice(0, 20))
    length = np.linalg.norm(motion.joints_m[:, 1:] - motion.joints_m[:, PARENTS[1:]], axis=-1)
    assert np.allclose(length, np.linalg.norm(motion.offsets_m[1:], axis=-1), atol=1e-6)
    twice = motion.mirrored().mirrored()
    assert np.allclose(twice.joints_m, motion.joints_m)
    assert np.allclose(twice.rotations, motion.rotations)
    mirrored = motion.mirrored()
    local = np.array([mirrored.rotations[:, 0], *(mirrored.rotations[:, p].transpose(0, 2, 1) @ mirrored.rotations[:, j]
                                                 for j, p in enumerate(PARENTS) if p >= 0)]).swapaxes(0, 1)  # fmt: skip
    assert np.allclose(forward(local, mirrored.joints_m[:, 0], mirrored.offsets_m)[1], mirrored.joints_m, atol=1e-6)


def test_hands_and_feet_reach_their_places(studio):
    space = studio.space
    body = space.shape(space.coefficients[40], 40)
    limbs, pose = Limbs(space, body), rest_pose(space, body)
    for limb, end in (("arm", "hand_l"), ("leg", "foot_l")):
        start = space.at(space.places(body, pose), end)
        target = start + np.array([-0.06, 0.12, 0.06])
        pole = np.array([0, -1.0, -1]) if limb == "arm" else np.array([0, 0, 1.0])
        done = limbs.reach(pose, limb, "l", target, pole)
        assert np.allclose(space.at(space.places(body, done), end), target, atol=1e-3)
        assert np.allclose(done.rotations @ done.rotations.transpose(0, 2, 1), np.eye(3), atol=1e-8)


def test_seated_bodies_have_their_feet_on_the_floor(studio):
    space = studio.space
    body = space.shape(space.coefficients[22], 22)
    motion = studio.motion.load("cmu_14_24", np.array([200]))
    start = Retarget(space, body, motion.offsets_m).poses(motion)[0]
    pose = Limbs(space, body).seated(start, 0.45, np.random.default_rng(0))
    places = space.places(body, pose)
    for side in "lr":
        assert 0.03 < space.at(places, f"foot_{side}")[1] < 0.16
        assert space.at(places, f"calf_{side}")[2] > 0.25
    assert space.at(places, "head")[1] > 0.9
    for kind in FREE:
        gesture = Gestures(space, body).free(pose, kind, np.random.default_rng(3))
        assert np.isfinite(gesture.pose.rotations).all()
        moved = space.places(body, gesture.pose)
        assert np.allclose(space.at(moved, "foot_l"), space.at(places, "foot_l"))


def test_who_sits_wears_no_skirt(studio):
    stylist = Stylist(studio.assets, studio.space, "train")
    category = {r["id"]: r["category"] for r in studio.assets.clothes}
    for seed in range(30):
        worn = {category[w.garment] for w in stylist.looks(np.random.default_rng(seed), seated=True).wears}
        assert not worn & {"skirt", "dress", "coat"}
        assert worn & {"trousers", "shorts", "outfit"}
        assert {"shoes", "eyes", "eyebrows"} <= worn


def test_a_leaning_body_lies_beside_its_feet():
    feet = np.array([[x, 0.01, z] for x in (-0.1, 0.1) for z in (-0.1, 0.1)])
    upright = np.concatenate([feet, [[0, y, 0.05] for y in np.linspace(0.2, 1.7, 30)]])
    assert beside_m(upright) == 0
    leaning = upright.copy()
    leaning[:, 0] += upright[:, 1]
    assert beside_m(leaning) > 0.4


def test_knees_fit_under_the_desk(sampler):
    space = sampler.studio.space
    for seed in range(5):
        actors, _, boxes, _, _ = sampler._desks.webcam(np.random.default_rng(seed), 1)
        top = max(2 * box.centre_m[1] for box in boxes[-1:])
        assert 0.7 < top < 1.0
        for actor in actors:
            places = space.places(actor.person.body, actor.poses[0])
            assert max(space.at(places, f"calf_{s}")[1] for s in "lr") < top - 0.05


def test_people_in_panoramas_stand_on_its_ground(sampler):
    settings = sampler.settings
    for seed in range(8):
        setting = settings.panorama(np.random.default_rng(seed), 7.5)
        if setting is not None:
            assert setting.background.radius_m >= 7.5
    assert settings.panorama(np.random.default_rng(0), 99.0) is None


def test_nobody_walks_through_another_in_a_sequence(sampler):
    scene = sampler.sample(11, 24, "crowd", 4)
    for k in (0, 6, 12, 18, 23):
        bodies = [sampler._capsules(a, k) for a in scene.actors]
        deep = [overlap(a, b) for i, a in enumerate(bodies) for b in bodies[i + 1 :]]
        assert max(deep, default=0.0) < 0.12
