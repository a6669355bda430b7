"""Pages, tables and figures from runs."""

from labelnoise.reports.markdown import study_markdown
from labelnoise.reports.page import study_page
from labelnoise.reports.sections import Findings
from labelnoise.reports.tables import Spread, Summary, results_csv, spread, summarise, to_csv

__all__ = [
    "Findings",
    "Spread",
    "Summary",
    "results_csv",
    "spread",
    "study_markdown",
    "study_page",
    "summarise",
    "to_csv",
]
