"""What makes a policy: data, teacher, training, export, and the zoo of shipped files."""

import os

# Nets this small gain nothing from BLAS threads, which fight for the cores; read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
