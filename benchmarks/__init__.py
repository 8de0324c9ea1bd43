"""What things cost, each against an alternative in the same run: `python -m benchmarks` writes docs/benchmarks.md."""
