"""What is shown of training runs: the page of the monitor."""
