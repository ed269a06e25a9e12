"""Channel scores, masks, mask distance, and the physical shrink."""
