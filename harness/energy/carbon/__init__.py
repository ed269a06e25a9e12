"""From joules to CO2 equivalent, by place and time."""
