"""Fuzz targets, one a module: each parser of bytes that somebody else may have written.

`make fuzz`, or `python -m tests.fuzz NAME -max_total_time=60` for one of them, with libFuzzer's
options; `tests/test_fuzz.py` runs every target on its seeds and on a few hundred bent ones without
a fuzzer. What a fuzzer finds goes into `found/NAME/`, and stays there as a test.
"""
