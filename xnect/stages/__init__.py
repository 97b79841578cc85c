"""The three stages of the method: network and association (I), lifting (II), skeleton fit (III)."""
