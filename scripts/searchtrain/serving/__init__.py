"""Starting a server and being sure that it ends. Standard library only: it runs in the environment
of whatever it serves."""
