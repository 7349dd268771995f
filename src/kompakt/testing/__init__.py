"""Contracts that every entry of a table must keep, for our own tests and for methods written elsewhere.

`check_quantizer(parts)` and its like run a whole contract and raise AssertionError naming the broken clause. The
classes are for test files: inherit one, give the fixture that it names, and every clause becomes a test.
"""

from .contract import clauses as clauses
from .encodings import EncodingContract as EncodingContract
from .encodings import check_encoding as check_encoding
from .quantizers import CLAIMS as CLAIMS
from .quantizers import QuantizerCase as QuantizerCase
from .quantizers import QuantizerContract as QuantizerContract
from .quantizers import check_quantizer as check_quantizer
from .quantizers import quantizer_cases as quantizer_cases
from .rewrites import RewriteCase as RewriteCase
from .rewrites import RewriteContract as RewriteContract
from .rewrites import check_rewrite as check_rewrite
