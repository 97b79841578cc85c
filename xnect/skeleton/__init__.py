"""Joint names, kinematic skeleton, joint limits, body proportions."""
