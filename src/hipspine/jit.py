"""This file answers: how are numerical kernels compiled and where are the compiled ones kept?

Numba's own cache does not notice an edit in a kernel that another kernel imports, so the cache folder carries a hash of
every kernel source: an edited source means a new folder, never a stale answer.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def _source_hash() -> str:
    """Hash of every module that holds kernels, so that an edit in any of them renews the cache."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for path in sorted([Path(__file__), *package.glob("mechanics/*.py"), *package.glob("motion/*.py")]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def cache_folder() -> Path:
    """Folder of the compiled kernels: HIPSPINE_CACHE if set, else the user's cache folder."""
    root = os.environ.get("HIPSPINE_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "hipspine"
    )
    return Path(root) / f"kernels-{_source_hash()}"


CACHE_FOLDER = cache_folder()
setattr(numba.config, "CACHE_DIR", str(CACHE_FOLDER))  # noqa: B010  (its attributes exist at run time only)

# `nnan`/`ninf` are left out: missing markers are NaN and must stay recognisable. `reassoc` is left out: kinematics took
# 1.3 times as long with it, and it costs compile time.
FASTMATH = {"contract", "nsz", "arcp"}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a per-frame numerical function once and keep it on disk."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Like `kernel`, laid into its caller: for helpers whose work is little beside handing them a dozen arrays."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH, forceinline=True)(function)


def first_run() -> bool:
    """True while no compiled kernel is kept for these sources: the next computation compiles once."""
    return not CACHE_FOLDER.exists() or not any(CACHE_FOLDER.rglob("*.nbi"))
