"""The window: camera picture, 3D view, plots, controls and recording (PyQt5; nothing else in xnect imports Qt)."""
