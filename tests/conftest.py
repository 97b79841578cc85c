"""For all tests: one thread a process, so that a busy machine is not made busier by waiting threads."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
