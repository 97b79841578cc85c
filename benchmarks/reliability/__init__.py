"""Measures what docs/reliability.md promises: kills, full disks, lost sources, hostile clients, long runs, signals."""
