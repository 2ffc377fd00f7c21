"""The roles that a process can have, and the process that holds them."""
