"""autoresearch-rl: machine-learning research that runs itself."""
