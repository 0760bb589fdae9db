"""Figures, each beside a baseline taken in the same run, with memory.

`make bench` runs all of them; `python -m benchmarks NAME …` runs some; `--smoke` runs them small, to
see that they run. Nothing here asserts a time: machines differ.
"""

__all__: list[str] = []
