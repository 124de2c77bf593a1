"""`python -m offtarget`, which is what `accelerate launch -m` runs."""

from offtarget.cli.app import main

main()
