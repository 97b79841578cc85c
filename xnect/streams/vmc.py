"""VMC protocol (performer): each person's fitted skeleton as an avatar's bones, one UDP port a person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xnect.addresses import Address
from xnect.errors import StreamError
from xnect.formats.people import empty_people
from xnect.skeleton.kinematics import SKELETON
from xnect.streams.hub import Packet
from xnect.streams.humanoid import BONES, Humanoids, humanoids
from xnect.streams.messages import Template, bundle, message
from xnect.streams.slots import Slots
from xnect.streams.sockets import Sender

#: From one person's port to the next one's; the odd one out, 39540, is where performers listen by custom.
PORT_STEP = 2
#: Receivers are not made for more frames a second.
MOST_HZ = 60.0
#: Without frames for so long, everybody counts as lost; slow networks need some time from one frame to the next [s].
SILENCE_S = 1.0
_POSE = ("/VMC/Ext/Root/Pos", ("root",)), *(("/VMC/Ext/Bone/Pos", (name,)) for name in BONES)

_NOBODY = humanoids(empty_people(len(SKELETON.angle_names), len(SKELETON.joint_names)))


class VmcOutlet:
    """Sends everyone's bones to every receiver; people who are lost blend out (see ``slots``)."""

    def __init__(self, addresses: Sequence[Address], people: int) -> None:
        """Open the sockets.

        Args:
            addresses: Receivers; the first person goes to their port, the next ones to every second port above.
            people: Avatars at most.

        Raises:
            StreamError: An unknown host, too high a port, python-osc missing.
        """
        for address in addresses:
            if address.port + PORT_STEP * (people - 1) > 65535:
                raise StreamError(
                    f"VMC to {address}: {people} people need ports up to {PORT_STEP * (people - 1)} above"
                )
        self._template = Template(_POSE, 7)
        self._time = Template([("/VMC/Ext/T", ())], 1)
        self._state = [bundle([message("/VMC/Ext/OK", 1, 3, 0, tracking)]) for tracking in (0, 1)]
        self._slots = Slots(people)
        self._senders = [Sender(address) for address in addresses]
        self._first_s: float | None = None
        self._frame_s, self._last_s = np.inf, -np.inf

    @property
    def description(self) -> str:
        """Where it goes, in words."""
        return "VMC to " + ", ".join(str(sender.address) for sender in self._senders)

    def send(self, packet: Packet, now_s: float) -> None:
        """Send one frame; frames that come faster than ``MOST_HZ`` are left out."""
        self._frame_s = now_s
        self._send(humanoids(packet.people), now_s)

    def tick(self, now_s: float) -> None:
        """Go on when no frames have come for a while (a camera is lost): nobody is in sight."""
        if now_s - self._frame_s >= SILENCE_S:
            self._send(_NOBODY, now_s)

    def _send(self, people: Humanoids, now_s: float) -> None:
        if now_s - self._last_s < 0.9 / MOST_HZ:
            return
        self._last_s = now_s
        self._release(self._slots.update(people, now_s))
        if self._first_s is None:
            self._first_s = now_s
        slots, seen = self._slots, self._slots.seen
        values = np.empty((len(BONES) + 1, 7))
        (time,) = self._time.filled(np.array([[now_s - self._first_s]]))
        for slot in np.flatnonzero(slots.used).tolist():
            values[0] = [*slots.roots[slot], 0.0, 0.0, 0.0, 1.0]
            values[1:, :3], values[1:, 3:] = slots.places[slot], slots.turns[slot]
            for data in (self._state[int(seen[slot])], time, *self._template.filled(values)):
                for sender in self._senders:
                    sender.send(data, PORT_STEP * slot)

    def _release(self, slots: np.ndarray) -> None:
        """Tell receivers that their person is gone."""
        if not len(slots):
            return
        data = bundle([message("/VMC/Ext/OK", 0)])
        for slot in slots.tolist():
            for sender in self._senders:
                sender.send(data, PORT_STEP * slot)

    def close(self) -> None:
        """Tell all receivers that it is over, and close the sockets."""
        self._release(np.flatnonzero(self._slots.used))
        for sender in self._senders:
            sender.close()
