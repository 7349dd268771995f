"""Floor 8: the report of a run, one offline HTML page."""

from .page import render as render
from .page import summary_table as summary_table
from .page import write as write

__all__ = ["render", "summary_table", "write"]
