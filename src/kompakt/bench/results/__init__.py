"""The results page, and the records it is generated from."""

from ._page import expected as expected
from ._page import generate as generate
from ._page import guide as guide
from ._page import render_results as render_results
from ._page import update as update
from ._runs import accuracy_record as accuracy_record
