"""From a study file to the list of its runs."""
