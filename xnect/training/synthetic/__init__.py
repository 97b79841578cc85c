"""Synthetic people: an engine that draws labelled crowds from bodies, clothes, furniture and motion capture."""
