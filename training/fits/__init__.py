"""What is fitted on held-out rows, as pure functions of the rows' answers and truths."""
