"""What is told of requests: metrics, log lines, traces and alarms."""
