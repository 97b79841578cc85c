"""Everything that can go wrong by the caller's hand in the backbone library, under one root."""


class BackboneError(Exception):
    """Root of all errors that a user can cause and mend; the message is one readable line."""


class UnknownModelError(BackboneError, ValueError):
    """A network was asked for by a name, a stride or a width that the table does not have."""


class WeightsError(BackboneError):
    """A weights file is missing, damaged, or made for another network."""


class DownloadError(WeightsError):
    """A weights file cannot be fetched, or what came is not what was promised."""


class InputError(BackboneError):
    """A picture, video, folder or camera cannot be opened or read."""


class ExportError(BackboneError):
    """A network cannot be written in another format, or computes something else there."""
