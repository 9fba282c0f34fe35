"""`penstock archive`: commands and events in files, for as long as anybody wants to keep them."""
