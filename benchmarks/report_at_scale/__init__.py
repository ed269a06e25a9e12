"""A study of many long runs, made up, and what it takes to report on it."""
