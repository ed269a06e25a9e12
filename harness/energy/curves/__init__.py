"""From readings to the cumulative energy of a device, with what is not known of it."""
