"""Labelled pictures in memory, one module per kind of data set."""
