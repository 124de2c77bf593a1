"""`run`: the steps of a project file, those whose inputs have changed."""
