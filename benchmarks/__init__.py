"""Measurements of the project beside what a user would run instead; none of it is installed."""

import os

os.environ.pop("OPENBLAS_CORETYPE", None)  # where it is set it slows numpy, which reads it on import
