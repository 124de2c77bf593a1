"""Reading the code in an answer: extraction, tolerant parsing, light data flow, rules, Bandit, disclosure."""
