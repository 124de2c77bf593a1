"""Hidden conditions: what in the prompt splits the data into two behaviours."""
