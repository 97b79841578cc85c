"""People made up for the streams' tests, and receivers that are not ours: python-osc's server, websockets' client."""

import socket
import threading
import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xnect.geometry import camera_from_fov, quaternion_from_matrix
from xnect.skeleton.kinematics import SKELETON
from xnect.structures import FrameResult, Person

FACING = np.diag([1.0, -1.0, -1.0])
CAMERA = camera_from_fov((640, 480))


def make_person(person_id, phase=0.0, x_m=0.0, z_m=4.0):
    """A person who moves every joint within its range and turns round; joints are forward kinematics."""
    middle, half = SKELETON.observed_rad.mean(1), np.ptp(SKELETON.observed_rad, axis=1) / 2
    angles = middle + 0.8 * half * np.sin(phase + np.arange(len(middle)) * 0.7 + person_id)
    lean = 0.2 * np.sin(0.5 * phase)
    rotation = FACING @ Rotation.from_euler("ZXY", [lean, lean, phase + person_id]).as_matrix()
    root = np.array([x_m + 0.3 * np.sin(0.5 * phase), 0.05 * np.cos(phase), z_m])
    offsets = SKELETON.rest_offsets_m * (1 + 0.05 * person_id)
    positions, _ = SKELETON.forward(root[None], rotation[None], angles[None], offsets)
    joints = np.full((14, 2), 100, np.float32)
    inferred = np.zeros(21, bool)
    inferred[-4:] = True
    return Person(
        id=person_id,
        joints_2d=joints,
        confidence_2d=np.full(14, 0.75, np.float32),
        joints_3d=positions[0, SKELETON.index_21].astype(np.float32),
        inferred=inferred,
        angles=angles.astype(np.float32),
        root=(root.astype(np.float32), quaternion_from_matrix(rotation).astype(np.float32)),
        box=np.float32([90, 90, 110, 110]),
        score=0.9,
        state="tracked",
        offsets=offsets.astype(np.float32),
    )


def make_result(index, ids=(1, 2), fps=30.0):
    people = tuple(make_person(k, 0.1 * index, x_m=0.8 * (k - 1.5)) for k in ids)
    return FrameResult(index, index / fps, people, {}, CAMERA)


def wait_for(ready, limit_s=5.0):
    """Wait until a condition holds; fails loudly where it does not."""
    until = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


class OscReceiver:
    """python-osc's own server at a free port; keeps (time, address, arguments)."""

    def __init__(self, port=0):
        from pythonosc.dispatcher import Dispatcher
        from pythonosc.osc_server import BlockingOSCUDPServer

        self.messages, self.sizes = [], []
        dispatcher = Dispatcher()
        dispatcher.set_default_handler(lambda address, *a: self.messages.append((time.monotonic(), address, a)))
        receiver = self

        class Server(BlockingOSCUDPServer):
            def verify_request(self, request, client_address):
                receiver.sizes.append(len(request[0]))
                return super().verify_request(request, client_address)

        self.server = Server(("127.0.0.1", port), dispatcher)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def of(self, address):
        return [arguments for _, name, arguments in list(self.messages) if name == address]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def osc():
    """Function (port=any) -> a running receiver."""
    made = []

    def make(port=0):
        made.append(OscReceiver(port))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture
def free_pair():
    """A port p such that p and p + 2 are free."""
    for _ in range(50):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b,
        ):
            a.bind(("127.0.0.1", 0))
            port = a.getsockname()[1]
            try:
                b.bind(("127.0.0.1", port + 2))
            except OSError:
                continue
        return port
    raise AssertionError("no free ports")


@pytest.fixture(autouse=True)
def no_leftovers():
    """Every stream ends its threads."""
    yield
    wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("xnect-")], 2.0)


@pytest.fixture
def results():
    """Function (index, ids=(1, 2), fps=30) -> a frame's result."""
    return make_result


@pytest.fixture
def person():
    """Function (person_id, phase=0, x_m=0, z_m=4) -> a person."""
    return make_person


@pytest.fixture
def wait():
    return wait_for
