"""Plain OSC: everyone's joints in camera space, a message a joint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xnect.addresses import Address
from xnect.formats.people import confidence_3d
from xnect.skeleton.joints import JOINTS_3D
from xnect.streams.hub import Packet
from xnect.streams.messages import Template, bundle, message
from xnect.streams.sockets import Sender


class OscOutlet:
    """``/xnect/frame``, ``/xnect/people``, ``/xnect/person/ID/joint/NAME x y z confidence``, ``/xnect/person/ID/lost``."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        """Open the sockets. Raises StreamError."""
        message("/xnect/frame")  # tells at once where python-osc is missing
        self._senders = [Sender(address) for address in addresses]
        self._known: dict[int, tuple[Template, Template]] = {}

    @property
    def description(self) -> str:
        """Where it goes, in words."""
        return "OSC to " + ", ".join(str(sender.address) for sender in self._senders)

    def send(self, packet: Packet, now_s: float) -> None:
        """Send one frame: first who is there, then each person, then who has left."""
        people = packet.people
        ids = people.ids.tolist()
        frame = message("/xnect/frame", packet.index, float(packet.time_s), len(ids))
        out = [bundle([frame, message("/xnect/people", *ids)])]
        values = np.concatenate([people.joints_3d, confidence_3d(people)[..., None]], 2)
        # quaternions as OSC programs have them: x, y, z, w
        roots = np.concatenate([people.root_position, people.root_rotation[:, [1, 2, 3, 0]]], 1)
        for row, person in enumerate(ids):
            joints, root = self._templates(person)
            out += root.filled(roots[row : row + 1]) + joints.filled(values[row])
        for person in [known for known in self._known if known not in ids]:
            del self._known[person]
            out.append(bundle([message(f"/xnect/person/{person}/lost", 1)]))
        for data in out:
            for sender in self._senders:
                sender.send(data)

    def _templates(self, person: int) -> tuple[Template, Template]:
        if person not in self._known:
            base = f"/xnect/person/{person}"
            self._known[person] = (
                Template([(f"{base}/joint/{name}", ()) for name in JOINTS_3D], 4),
                Template([(f"{base}/root", ())], 7),
            )
        return self._known[person]

    def tick(self, now_s: float) -> None:
        """Nothing to do while no frames come."""

    def close(self) -> None:
        """Close the sockets."""
        for sender in self._senders:
            sender.close()
