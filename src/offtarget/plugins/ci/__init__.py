"""What the GitHub action and the GitLab template run: `python -m offtarget.plugins.ci`."""
