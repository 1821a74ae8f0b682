"""Where the history of incidents is kept: one small interface, two backends. Imports only the gateways and `api`."""
