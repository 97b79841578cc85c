"""Pose files, out and in."""
