"""The engines that run the graphs of a bundle."""
