"""Everything needed to train the networks again; never imported at run time."""
