"""Section view: what shows a run's rollouts."""

from searchtrain.config.section import Section, runtime
from searchtrain.config.values import Text


class View(Section):
    """The browser of transcripts (Inspect AI), `make view`."""

    python: Text = runtime(
        ".venv-view/bin/python", "Inspect needs an environment of its own; with conda: python"
    )
