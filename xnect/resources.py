"""Where the files that ship lie: weights and the bundled clip."""

from __future__ import annotations

from pathlib import Path

from xnect.errors import XnectError

_PACKAGE = Path(__file__).resolve().parent
#: In a checkout beside the package, in an installed wheel inside it.
_PLACES = (_PACKAGE.parent / "assets", _PACKAGE / "_assets")


def resource(name: str) -> Path:
    """A file that ships, by its path below assets/; raises XnectError where this installation lacks it."""
    for place in _PLACES:
        if (place / name).is_file():
            return place / name
    raise XnectError(f"this installation lacks assets/{name}; install xnect again, or name a file of your own")
