"""Motion capture from a camera, videos or pictures: the same as ``xnect run``."""

import sys

from xnect.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main(["run", *sys.argv[1:]]))
