"""Published layouts and a user's own folders: one file each, and what several of them read alike (boxes, masks, run lengths, labels)."""
