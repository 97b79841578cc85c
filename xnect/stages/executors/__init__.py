"""Ways to compute Stage I: torch and OpenVINO behind one small interface, and the choice of the fastest that works."""
