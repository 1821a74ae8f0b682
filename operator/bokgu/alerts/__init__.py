"""Ways out for alerts: the texts that ship with Bokgu, YAML files beside this one, and Apprise."""
