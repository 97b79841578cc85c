"""Hostile and broken input for every loader: seeds, mutations, a worker process that is watched."""
