from xnect.capture.opencv import _NOISE


def test_what_libjpeg_says_of_odd_pictures_is_known():
    for line in (
        b"Warning: unknown JFIF revision number 86.216", b"Corrupt JPEG data: premature end of data segment", b"libpng error: IDAT: CRC error",
        b"Inconsistent progression sequence for component 0 coefficient 1",
    ):  # fmt: skip
        assert _NOISE.match(line)
    assert not _NOISE.match(b"Warning: your own program's words")
