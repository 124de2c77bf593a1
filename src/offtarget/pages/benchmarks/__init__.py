"""What people read about fixed benchmarks, on a page of their own and in a check: words, chart and table."""
