"""Benchmarks of hipspine; every one keeps to one thread, which has to be said before NumPy is loaded."""

import os

for _library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
