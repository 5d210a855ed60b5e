"""Keep rules: what is kept and what is discarded."""
