"""Python runs this in every process whose PYTHONPATH holds the folder."""

import os

import audit

if audit.VARIABLE in os.environ:
    audit.install()
