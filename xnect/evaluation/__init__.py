"""Figures of merit against ground truth."""
