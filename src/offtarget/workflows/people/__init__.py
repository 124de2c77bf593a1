"""People who read answers of a run: the page they sit at, labels for calibration, alarms confirmed."""
