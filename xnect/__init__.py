"""xnect: real-time multi-person 3D motion capture from one ordinary camera."""
