"""The commands of the `bokgu` program: `add_parser` of each module describes one."""
