"""Floor 8: the report of a run, one offline HTML page."""

from .page import render as render
from .page import summary_table as summary_table
from .page import write as write
from .sensitivity import sensitivity_picture as sensitivity_picture

__all__ = ["render", "sensitivity_picture", "summary_table", "write"]
