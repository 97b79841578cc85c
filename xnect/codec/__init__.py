"""What the maps mean: heatmaps, affinity fields and the 3D encoding, written (targets) and read (decoding)."""
