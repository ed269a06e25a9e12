"""The recorder: a process outside the run that reads every meter into a trace."""
