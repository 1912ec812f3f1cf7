"""Code that several benchmarks share: statistics, machine facts and the files in results/."""
