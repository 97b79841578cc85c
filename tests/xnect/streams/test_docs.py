"""What docs/streams.md shows works as it stands there."""

import re
import time
from pathlib import Path

import pytest

from xnect.apps.options import OPTIONS
from xnect.streams import gate, open_streams, slots
from xnect.streams.humanoid import BONES

TEXT = (Path(__file__).parents[3] / "docs/streams.md").read_text(encoding="utf-8")


def test_the_example_client_runs(results, wait, monkeypatch):
    example = next(code for code in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "websockets" in code)
    seen = []

    class Enough(Exception):
        pass

    def fake_print(*words):
        seen.append(words)
        if len(seen) == 4:
            raise Enough

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with open_streams(websocket="127.0.0.1:0") as streams:
        outlet = streams.outlets[0]

        def feed():
            for index in range(200):
                streams.send(results(index))
                if len(seen) >= 4:
                    return
                time.sleep(0.02)

        import threading

        feeder = threading.Thread(target=feed)
        feeder.start()
        with pytest.raises(Enough):
            exec(example.replace("127.0.0.1:8765", str(outlet.address)), {"print": fake_print})
        feeder.join()
    assert [words[0] for words in seen] == [1, 2, 1, 2]
    assert all(len(words[1]) == 3 for words in seen)


def test_options_bones_and_limits_are_those_of_the_program():
    for option in OPTIONS:
        if option.group == "stream":
            assert f"`--{option.name} " in TEXT
    told = next(line for line in TEXT.splitlines() if line.startswith("Bones: "))
    middle, sides = (re.findall(r"[A-Z]\w+", part) for part in re.findall(r"`([A-Z][\w ]+ [\w ]+)`", told))
    assert {*middle, *(side + bone for side in ("Left", "Right") for bone in sides)} == set(BONES)
    assert f"| {gate.MOST_CLIENTS} clients; {gate.MOST_GUESTS} connections" in TEXT
    assert f"{gate.MESSAGES_PER_S} a second, all ignored" in TEXT
    assert f"holds its pose for {slots.HOLD_S} s" in TEXT
