"""``invoke bench truth``: what inference says of random scenarios, measured against what the kernel says."""
