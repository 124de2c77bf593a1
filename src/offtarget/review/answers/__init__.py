"""Answers of models on cards, labelled by people: who reads is not told which model answered, nor what a judge said.

`people.PeopleJudge` is the judge that waits for people. Layout: `cards` (an answer and what led to it), `queue` (which
card next), `opinions` (what the labels of an answer come to), `desk` (all together, for any number of threads),
`views` (what is drawn), `app`, `people`; `labels` writes them down as a table.
"""
