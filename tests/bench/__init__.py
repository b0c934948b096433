"""Speed and memory of the operator, held against bounds that are ratios or sizes; `make bench` runs it."""
