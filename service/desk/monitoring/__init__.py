"""Reports on requests: metrics, log lines, traces and drift alarms."""
