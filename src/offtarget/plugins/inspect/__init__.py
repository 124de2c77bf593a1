"""Tasks, scorers and early stopping for Inspect AI. Modules import offtarget's own rooms where they are used: every
`inspect` command imports all of them."""
