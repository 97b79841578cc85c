"""Everything that can go wrong by the caller's hand, under one root."""


class XnectError(Exception):
    """Root of all errors that a user can cause and mend; the message is one readable line."""


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
