"""The result of a check of many candidates: card, page, Markdown, JUnit."""
