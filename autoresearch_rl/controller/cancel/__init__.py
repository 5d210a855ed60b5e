"""Cancel rules: which running trials are doomed, and which paused ones go on."""
