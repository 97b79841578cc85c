"""``python -m xnect``: the command line."""

from xnect.apps.main import main

if __name__ == "__main__":
    raise SystemExit(main())
