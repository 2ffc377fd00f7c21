"""Speed, shown as ratios within one run: python -m benchmarks writes benchmarks/result.json."""
