"""What reads sensors: one file a kind, each with a `find` for the meters of this machine."""
