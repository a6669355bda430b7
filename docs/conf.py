"""Sphinx builds these pages; `make docs`."""

project = "labelnoise"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes are told in the docstrings
myst_heading_anchors = 3
