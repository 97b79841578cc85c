"""Frames from cameras, videos, streams and pictures."""
