"""Pages, tables and figures from runs."""

from labelnoise.reports.fit_cards import Shown
from labelnoise.reports.fit_page import Candidate, FitFindings, fit_page
from labelnoise.reports.markdown import study_markdown
from labelnoise.reports.page import study_page
from labelnoise.reports.sections import Findings, study_sections
from labelnoise.reports.tables import Spread, Summary, results_csv, spread, summarise, to_csv

__all__ = [
    "Candidate",
    "Findings",
    "FitFindings",
    "Shown",
    "Spread",
    "Summary",
    "fit_page",
    "results_csv",
    "spread",
    "study_markdown",
    "study_page",
    "study_sections",
    "summarise",
    "to_csv",
]
