"""The colours of figures, and how a chart is styled in light and dark.

Invariant: a thing has one colour in all figures. Good is blue and bad is orange, which whoever sees
few colours tells apart (Okabe and Ito), and each colour stands out from both backgrounds.
"""

from typing import Any

GOOD = "#2f7fc1"
"""Right, kept, passed; after sampling; the student."""
BAD = "#d9731a"
"""Wrong, dropped, failed."""
PLAIN = "#7f8a99"
"""What there was before: questions, the pool, the untrained model."""
TEAL = "#1f9384"
PURPLE = "#9370c9"
YELLOW = "#b58900"
RED = "#d1495b"
PINK = "#c05f9f"

KEPT = {"kept": GOOD, "dropped": BAD}
PASSED = {"passes": GOOD, "fails": BAD}
SAMPLED = {"before": PLAIN, "after": GOOD}
UNITS = {"questions": PLAIN, "rollouts": GOOD, "records": TEAL}
WAYS = {
    "searching": GOOD,
    "closed-book": PURPLE,
    "untrained": PLAIN,
    "one search": TEAL,
}
"""How a model answers: the student twice, then the untrained model, searching as it likes and
reading what one search found."""
CAUSES = {"form": YELLOW, "stopping": RED, "retrieval": BAD, "reading": PINK}
"""Why answers are wrong (`evaluation.gaps`)."""
FAILED = {"and others": "#e3a877", "only this rule": BAD}

INK = {"light": ("#1d2733", "#5b6775", "#e3e7ec"), "dark": ("#e8ecf1", "#a3adb9", "#333c47")}
"""By scheme: of text, of what stands back, of lines of a grid."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


def style_charts(scheme: str) -> dict[str, Any]:
    """Vega-Lite's config of the scheme `light` or `dark`."""
    ink, faint, grid = INK[scheme]
    axis = {"labelColor": ink, "titleColor": faint, "gridColor": grid, "domainColor": grid,
            "tickColor": grid, "labelFontSize": 12, "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelLimit": 132, "titleLimit": 320, "labelFont": FONT, "titleFont": FONT,
            "titlePadding": 8, "labelPadding": 6}  # fmt: skip
    legend = {"labelColor": ink, "titleColor": faint, "labelFontSize": 12, "labelFont": FONT,
              "orient": "top", "direction": "horizontal", "title": None, "columnPadding": 14,
              "symbolType": "square", "labelLimit": 200, "offset": 6}  # fmt: skip
    return {
        "background": None,
        "font": FONT,
        "view": {"stroke": None},
        "axis": axis,
        "axisY": {"domain": False, "ticks": False},
        "axisX": {"tickCount": 5},
        "legend": legend,
        "text": {"color": ink, "font": FONT, "fontSize": 12},
        "rule": {"color": ink},
    }
