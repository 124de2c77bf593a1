"""`offtarget doctor`: what is installed here, what is missing for which verb, and what the machine offers."""
