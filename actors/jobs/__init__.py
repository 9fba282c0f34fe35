"""Work that takes long: done by workers, begun by actors, ended by a command to the volume's lane."""
