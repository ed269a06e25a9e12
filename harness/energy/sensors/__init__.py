"""One module per kind of sensor."""
