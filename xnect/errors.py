"""Everything that can go wrong by the caller's hand, under one root."""

_LONGEST = 1000


def one_line(text: str) -> str:
    """Text as one line that a terminal can show: no line breaks, no control signs, not endless."""
    text = "".join(c if c.isprintable() else " " if c in "\n\r\t" else ascii(c)[1:-1] for c in text[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


class XnectError(Exception):
    """Root of all errors that a user can cause and mend; the message is one readable line, whatever a file put in it."""

    def __str__(self) -> str:
        """The message."""
        return one_line(super().__str__())


class ConfigError(XnectError):
    """An option or a settings file has an unknown key or a value out of range."""


class SourceError(XnectError):
    """A camera, video, picture or address cannot be opened or read."""


class WeightsError(XnectError):
    """A weights file is missing, damaged, or made for another network."""


class CalibrationError(XnectError):
    """A camera calibration cannot be read or is impossible."""


class FormatError(XnectError):
    """A pose file is not what its format says."""


class OutputError(XnectError):
    """Results cannot be written (folder exists, disk full, no permission)."""


class StreamError(XnectError):
    """A live stream cannot be set up (port taken, unknown host, package missing)."""


class ShapeError(XnectError, ValueError):
    """An array handed over at a border has the wrong shape or type."""
