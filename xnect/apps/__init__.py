"""The programs: what ``xnect`` does on the command line."""
