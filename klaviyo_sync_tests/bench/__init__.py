"""Benchmarks: throughput, memory, ratios. Run by `make bench`, never by the tests."""
