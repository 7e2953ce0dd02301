"""From passes to an answer: statistics, calibrated probabilities, sets and intervals."""
